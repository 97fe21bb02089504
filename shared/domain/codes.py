from typing import Any

MEANINGS: dict[str, Any] = {}


def rank(_: str) -> int:
    return 0
