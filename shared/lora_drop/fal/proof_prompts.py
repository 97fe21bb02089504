"""The prompts of a proof sheet, what one of its pictures costs, and the request it is made with.

The endpoint is ``fal-ai/flux-lora``: ``prompt``, ``loras`` (``path``, ``scale``), ``image_size``, ``seed``,
``num_images``, ``output_format``, ``enable_safety_checker`` (https://fal.ai/models/fal-ai/flux-lora/api).
It costs $0.035 per megapixel, which is rounded up to whole ones
(https://fal.ai/models/fal-ai/flux-lora/llms.txt, "Pricing"). fal's price list names no unit for it
that could be compared, so this price stands here, as those of the trainers stand in their table.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lora_drop.fal.inference import FLUX_LORA, inference_of
from lora_drop.jobs.proof import PictureOrder

# "portrait_4_3" of fal's image sizes, in pixels: less than a megapixel.
WIDTH, HEIGHT = 768, 1024
PICTURES = 4
USD_PER_MEGAPIXEL = 0.035
MEGAPIXEL = 1_000_000
# The same for every sheet, so that two LoRAs can be compared picture by picture. They follow each other, so that a simulator
# that takes its photos by the seed shows none twice on a sheet.
SEEDS = (11, 12, 13, 14)
NO_PHRASE = "a person"

_PORTRAIT = (
    "a close-up portrait photo of {}, looking into the camera, soft daylight, plain background",
    "a photo of {} from the waist up, smiling, in a park in the evening sun",
    "a studio portrait of {} from the side, dark background, one light",
    "a full-length photo of {} walking through a city street, overcast day",
)
_STYLE = (
    "a lighthouse on a cliff, in the style of {}",
    "a bowl of fruit on a wooden table, in the style of {}",
    "a street with houses and a bicycle, in the style of {}",
    "a cat on a window sill, in the style of {}",
)
# By preset; a dataset without one is of a person.
PROMPTS: Mapping[str | None, Sequence[str]] = MappingProxyType(
    {
        "portrait": _PORTRAIT,
        "style": _STYLE,
        "fast": _PORTRAIT,
        "quality": _PORTRAIT,
        None: _PORTRAIT,
    }
)


def picture_application(trainer: str) -> str | None:
    """Return fal's endpoint that makes pictures with a LoRA of this trainer; None where there is none to rely on.

    Of the endpoints in ``fal/inference.py`` only ``fal-ai/flux-lora`` has a known price and a known form of result.
    """
    inference = inference_of(trainer)
    return inference.application if inference == FLUX_LORA else None


def no_pictures(trainer: str) -> str:
    """Return why there is no proof sheet of a LoRA of this trainer, in a sentence."""
    return (
        f"No proof sheet was made: {FLUX_LORA.application}, which makes its pictures, is not known to take a LoRA "
        f"of {trainer}."
    )


def picture_orders(
    proof_of: str, preset: str | None, phrase: str | None, count: int
) -> Sequence[PictureOrder]:
    """Return so many pictures of a training's proof sheet, in their order; ``phrase`` is its trigger phrase.

    There is one for every number, whatever the number of prompts is: a sheet that was begun by another version of this
    table can be ended.
    """
    prompts = PROMPTS.get(preset, _PORTRAIT)
    return [
        PictureOrder(
            proof_of=proof_of,
            number=number,
            prompt=prompts[(number - 1) % len(prompts)].format(phrase or NO_PHRASE),
            seed=SEEDS[(number - 1) % len(SEEDS)],
            width=WIDTH,
            height=HEIGHT,
        )
        for number in range(1, count + 1)
    ]


def sheet_usd(pictures: int = PICTURES) -> float:
    """Return what a proof sheet of so many pictures costs in US dollars."""
    return pictures * math.ceil(WIDTH * HEIGHT / MEGAPIXEL) * USD_PER_MEGAPIXEL


def picture_usd(order: PictureOrder) -> float:
    """Return what this picture costs in US dollars."""
    return math.ceil(order.width * order.height / MEGAPIXEL) * USD_PER_MEGAPIXEL


def picture_arguments(order: PictureOrder, lora_url: str) -> dict[str, Any]:
    """Return the request of one picture; ``lora_url`` is where fal gets the LoRA from."""
    return {
        "prompt": order.prompt,
        "loras": [{"path": lora_url, "scale": 1}],
        "image_size": {"width": order.width, "height": order.height},
        "seed": order.seed,
        "num_images": 1,
        "output_format": "jpeg",
        "enable_safety_checker": True,
    }
