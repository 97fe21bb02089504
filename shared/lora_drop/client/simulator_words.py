"""What a stack on this machine says of its pictures: its fal is a simulator, and no LoRA has made them."""

from collections.abc import Mapping
from typing import Any

DRAWN = (
    "This stack's fal is a simulator: the pictures are drawn, and say nothing of the LoRA "
    "(lora-drop up --pictures DIR shows photos of yours)."
)
PHOTOS = (
    "This stack's fal is a simulator: the pictures are photos of {}, and say nothing of the LoRA."
)


def simulated_words(access: Mapping[str, Any]) -> str:
    """Return the sentence for a stack on this machine; empty where another fal was given to it."""
    if not access.get(
        "fal_simulated"
    ):  # nor is it known of a stack that an earlier version started
        return ""
    pictures = access.get("fal_pictures")
    return PHOTOS.format(pictures) if pictures else DRAWN
