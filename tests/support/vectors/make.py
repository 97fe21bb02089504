"""Vectors for all who verify fal's webhooks: ``python -m tests.support.vectors.make [--check]``.

Writes fal_webhook.json beside this file, the same whenever and wherever it is run; docs/webhook-vectors.md
says how to read it. With ``--check`` nothing is written, and it fails where the file is another.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.vectors import deliveries, key_sets
from tests.support.vectors.scheme import USUAL, numbered, public, seed

FILE = Path(__file__).with_name("fal_webhook.json")
SIGNERS = ("current", "former", "stranger")


def vectors() -> dict[str, Any]:
    """The whole file."""
    groups = numbered([*deliveries.groups(), *key_sets.groups()])
    return {
        "scheme": "fal webhooks: Ed25519 over request id, user id, timestamp and sha256(body)",
        "version": 1,
        "tests": sum(len(group["tests"]) for group in groups),
        "signing_keys": {
            name: {"seed": seed(name).hex(), "public": public(name).hex()} for name in SIGNERS
        },
        "documents": key_sets.documents(),
        "usual": USUAL,
        "groups": groups,
    }


def text() -> str:
    """The file's text: a line for each test, so that a change shows as what it is."""
    whole = vectors()
    groups = whole.pop("groups")
    head = json.dumps(whole, indent=1).removesuffix("\n}")
    parts = []
    for group in groups:
        tests = group.pop("tests")
        lines = ",\n".join(f"   {json.dumps(test)}" for test in tests)
        opened = json.dumps(group).removesuffix("}")
        parts.append(f'  {opened}, "tests": [\n{lines}\n  ]}}')
    return f'{head},\n "groups": [\n' + ",\n".join(parts) + "\n ]\n}\n"


def main() -> None:
    """Write the file, or say that it is stale."""
    made = text()
    if "--check" in sys.argv[1:]:
        if FILE.read_text() != made:
            sys.exit("fal_webhook.json is stale; run: python -m tests.support.vectors.make")
        return
    FILE.write_text(made)
    groups = json.loads(made)["groups"]
    verdicts = Counter(test["verdict"] for group in groups for test in group["tests"])
    sys.stdout.write(f"{sum(verdicts.values())} tests: {dict(verdicts)}\n")


if __name__ == "__main__":
    main()
