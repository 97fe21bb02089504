"""What a stack on this machine says of its pictures: its fal is a simulator, and no LoRA has made them."""

DRAWN = (
    "This stack's fal is a simulator: the pictures are drawn, and say nothing of the LoRA. Photos of yours in their "
    "place: lora-drop down, which deletes the stack with its jobs, then lora-drop up --pictures DIR."
)
PHOTOS = (
    "This stack's fal is a simulator: the pictures are photos of {}, and say nothing of the LoRA."
)


def simulated_words(*, simulated: bool, pictures: object = None) -> str:
    """Return the sentence for a stack whose fal is simulated; empty where another fal was given to it.

    ``pictures``: the folder of photos that the simulator answers with, else it draws.
    """
    if not simulated:
        return ""
    return PHOTOS.format(pictures) if pictures else DRAWN
