"""What fal's image models take: schema, sizes and megapixels, from fal's pages and the published source of its toolkit.

Inputs and their ranges: https://fal.ai/models/fal-ai/flux-lora/api. ``ImageSize`` and the sizes behind the names:
``fal/toolkit/image/image.py`` of https://github.com/fal-ai/fal.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from lora_drop.simulator.errors import FailedTrainingError
from lora_drop.simulator.inputs import refused_input

FLUX_LORA = "fal-ai/flux-lora"
IMAGE_MODELS = frozenset({FLUX_LORA})
MEGAPIXEL = 1_000_000  # fal does not say whether it counts 1,048,576 pixels as one
SIZES: Mapping[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
type SizeName = Literal[
    "square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"
]
Side = Annotated[int, Field(gt=0, le=14_142)]


class LoraWeight(BaseModel):
    """A LoRA that the picture is made with; ``path`` is an address."""

    path: str
    scale: Annotated[float, Field(ge=0, le=4)] = 1.0


class ImageSize(BaseModel):
    """A size in pixels."""

    width: Side = 512
    height: Side = 512


class FluxLoraInput(BaseModel):
    """``fal-ai/flux-lora``; keys that it does not know are ignored."""

    prompt: str
    image_size: ImageSize | SizeName = "landscape_4_3"
    num_inference_steps: Annotated[int, Field(ge=1, le=50)] = 28
    seed: int | None = None
    loras: list[LoraWeight] = []
    guidance_scale: Annotated[float, Field(ge=0, le=35)] = 3.5
    sync_mode: bool = False
    num_images: Annotated[int, Field(ge=1, le=4)] = 1
    enable_safety_checker: bool = True
    output_format: Literal["jpeg", "png"] = "jpeg"
    acceleration: Literal["none", "regular"] = "none"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each picture, in pixels."""
        if isinstance(self.image_size, ImageSize):
            return self.image_size.width, self.image_size.height
        return SIZES[self.image_size]

    @property
    def megapixels(self) -> int:
        """What is billed for: each picture's size, rounded up to whole megapixels."""
        width, height = self.size
        return self.num_images * -(-width * height // MEGAPIXEL)


def read_image_input(arguments: Any) -> FluxLoraInput:
    """Return the input, or raise FailedTrainingError with pydantic's details in fal's form."""
    try:
        return FluxLoraInput.model_validate(arguments)
    except ValidationError as error:
        raise FailedTrainingError(refused_input(error)) from error
