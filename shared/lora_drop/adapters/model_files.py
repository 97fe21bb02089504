"""The models of faces as files, which are known by their SHA-256.

``python -m lora_drop.adapters.model_files FOLDER`` ends a build where one is missing, or is not the one that is known. It needs
nothing but Python.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

SUMS = "SHA256SUMS"  # what hatch_build.py makes, by name
MADE_BY = (
    "They are made where lora-drop is installed: install it again (in a checkout: "
    "uv pip install --no-deps --editable .), then build again."
)


def unusable(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name of each model that is missing or not the known one, and its SHA-256, which is empty where it is missing."""
    for line in (folder / SUMS).read_text().splitlines():
        wanted, name = line.split()
        model = folder / name
        found = hashlib.sha256(model.read_bytes()).hexdigest() if model.is_file() else ""
        if found != wanted:
            yield name, found


def main(folder: Path) -> None:
    """Say what is wrong, and end with 1."""
    wrong = [
        f"{folder / name} has SHA-256 {found}, which is not the known one"
        if found
        else f"{folder / name} is missing"
        for name, found in unusable(folder)
    ]
    if wrong:
        sys.exit(f"submit cannot look for faces without its models: {'; '.join(wrong)}. {MADE_BY}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
