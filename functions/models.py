"""Ends the build where a model of faces is missing, or is not the one that is known: ``python functions/models.py FOLDER``."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

SUMS = "SHA256SUMS"
MADE_BY = (
    "They are made where lora-drop is installed: install it again (in a checkout: "
    "uv pip install --no-deps --editable .), then build again."
)


def unusable(folder: Path) -> Iterator[str]:
    """Yield what is wrong with each model that the folder's list of digests names."""
    for line in (folder / SUMS).read_text().splitlines():
        wanted, name = line.split()
        file = folder / name
        if not file.is_file():
            yield f"{file} is missing"
        elif (found := hashlib.sha256(file.read_bytes()).hexdigest()) != wanted:
            yield f"{file} has SHA-256 {found}, not {wanted}"


def main(folder: Path) -> None:
    """Say what is wrong, and end with 1."""
    if wrong := "; ".join(unusable(folder)):
        sys.exit(f"submit cannot look for faces without its models: {wrong}. {MADE_BY}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
