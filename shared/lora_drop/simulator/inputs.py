"""What each trainer takes and gives, by its endpoint (facts of fal's schemas, April 2026)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from lora_drop.simulator.errors import ERRORS_URL, FailedTrainingError, Outcome, details


class Input(BaseModel):
    """What every trainer has; keys that it does not know are ignored."""

    steps: int


class PortraitInput(Input):
    """``fal-ai/flux-lora-portrait-trainer``."""

    images_data_url: str
    trigger_phrase: str | None = None
    learning_rate: Annotated[float, Field(ge=0.000001, le=0.001)] = 0.00009
    steps: Annotated[int, Field(ge=1, le=10_000)] = 2500
    multiresolution_training: bool = True
    subject_crop: bool = True
    create_masks: bool = False
    data_archive_format: str | None = None
    resume_from_checkpoint: str = ""


class TriggerWordInput(Input):
    """``fal-ai/flux-lora-fast-training`` and ``fal-ai/flux-krea-trainer``."""

    images_data_url: str
    trigger_word: str | None = None
    # Its schema names no default for the steps; the server takes 1000.
    steps: Annotated[int, Field(ge=1, le=10_000)] = 1000
    is_style: bool = False
    create_masks: bool = True


class TurboInput(Input):
    """``fal-ai/turbo-flux-trainer``."""

    images_data_url: str
    trigger_phrase: str = "ohwx"
    learning_rate: Annotated[float, Field(ge=0.0000001, le=0.01)] = 0.00115
    steps: Annotated[int, Field(ge=1, le=10_000)] = 1000
    training_style: Literal["subject", "style"] | None = None
    face_crop: bool | None = None


class CaptionedBase(Input):
    """What these have who fail where a caption is missing and ``default_caption`` is too."""

    default_caption: str | None = None


class CaptionedInput(CaptionedBase):
    """The same with the dataset's name that most of them have."""

    image_data_url: str


class Flux2Input(CaptionedInput):
    """``fal-ai/flux-2-trainer``, its second edition, and ``fal-ai/flux-2-klein-9b-base-trainer``."""

    learning_rate: float = 0.00005
    steps: Annotated[int, Field(ge=100, le=10_000)] = 1000
    output_lora_format: Literal["fal", "comfy"] | None = None


class Flux3Input(Input):
    """``blackforestlabs/flux-3/klein/base/trainer``."""

    images_data_url: str
    trigger_phrase: str | None = None
    learning_rate: float = 0.0001
    steps: Annotated[int, Field(ge=100, le=10_000)] = 1000
    resolution: Literal[512, 768, 1024] = 1024


class PhrasedInput(Input):
    """``fal-ai/krea-2-trainer``: 422 where a photo has neither a caption nor a phrase."""

    images_data_url: str
    trigger_phrase: str | None = None
    learning_rate: float | None = None
    steps: Annotated[int, Field(ge=100, le=10_000)] = 1000
    resolution: Literal[768, 1024] = 1024


class IdeogramInput(CaptionedBase):
    """``ideogram/v4/trainer``."""

    images_data_url: str
    learning_rate: Annotated[float, Field(ge=0.000001, le=0.01)] = 0.0001
    steps: Annotated[int, Field(ge=100, le=40_000)] = 1000
    resolution: str = "auto"
    output_lora_format: Literal["fal", "comfy"] | None = None


class QwenImageInput(Input):
    """``fal-ai/qwen-image-trainer``."""

    image_data_url: str
    trigger_phrase: str | None = None
    steps: Annotated[int, Field(ge=1, le=8000)] = 1000


class QwenImageV2Input(CaptionedInput):
    """``fal-ai/qwen-image-trainer-v2``."""

    steps: Annotated[int, Field(ge=100, le=30_000)] = 1000


class QwenImageRateInput(QwenImageV2Input):
    """``fal-ai/qwen-image-2512-trainer``."""

    learning_rate: float = 0.0005


class LongInput(CaptionedInput):
    """``fal-ai/qwen-image-2512-trainer-v2`` and ``fal-ai/z-image-turbo-trainer-v2``."""

    steps: Annotated[int, Field(ge=10, le=40_000)] = 2000


class ZImageInput(CaptionedInput):
    """``fal-ai/z-image-trainer``."""

    steps: Annotated[int, Field(ge=100, le=10_000)] = 1000
    training_type: Literal["content", "style", "balanced"] | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """One endpoint: its input, the name of its LoRA among its outputs, and what else it is like."""

    model: type[Input]
    weights: str = "diffusers_lora_file"
    debug_output: bool = False
    mask_suffix: str | None = None

    @property
    def dataset_field(self) -> str:
        """The input that is the dataset's address."""
        return next(name for name in self.model.model_fields if name.endswith("_data_url"))


PORTRAIT = Rules(PortraitInput)
ENDPOINTS: Mapping[str, Rules] = {
    "fal-ai/flux-lora-portrait-trainer": PORTRAIT,
    "fal-ai/flux-lora-fast-training": Rules(
        TriggerWordInput, debug_output=True, mask_suffix="_mask"
    ),
    "fal-ai/flux-krea-trainer": Rules(TriggerWordInput, debug_output=True),
    "fal-ai/turbo-flux-trainer": Rules(TurboInput),
    "fal-ai/flux-2-trainer": Rules(Flux2Input),
    "fal-ai/qwen-image-trainer": Rules(QwenImageInput, weights="lora_file"),
    "fal-ai/qwen-image-trainer-v2": Rules(QwenImageV2Input),
    "fal-ai/qwen-image-2512-trainer-v2": Rules(LongInput),
    "fal-ai/z-image-trainer": Rules(ZImageInput),
    "fal-ai/z-image-turbo-trainer-v2": Rules(LongInput),
    "fal-ai/flux-2-trainer-v2": Rules(Flux2Input),
    "fal-ai/flux-2-klein-9b-base-trainer": Rules(Flux2Input),
    "blackforestlabs/flux-3/klein/base/trainer": Rules(Flux3Input, weights="lora_file"),
    "fal-ai/krea-2-trainer": Rules(PhrasedInput, weights="lora_file"),
    "ideogram/v4/trainer": Rules(IdeogramInput),
    "fal-ai/qwen-image-2512-trainer": Rules(QwenImageRateInput),
}


def rules_of(endpoint_id: str) -> Rules:
    """The rules of an endpoint; any that is not known here follows the portrait trainer's."""
    return ENDPOINTS.get(endpoint_id, PORTRAIT)


def read_input(rules: Rules, arguments: Any) -> Input:
    """The input, or FailedTrainingError with pydantic's details in fal's form."""
    try:
        return rules.model.model_validate(arguments)
    except ValidationError as error:
        raise FailedTrainingError(refused_input(error)) from error


def refused_input(error: ValidationError) -> Outcome:
    """How a request ends whose input has these errors of pydantic."""
    return details(422, [_detail(row) for row in error.errors(include_url=False)])


def _detail(row: Any) -> dict[str, Any]:
    """A row of pydantic's as fal shows it: some types are fal's own, with a page of their own."""
    if row["type"] == "missing":
        # The form in fal's documented webhook example.
        return {
            "loc": ["body", *row["loc"]],
            "msg": "field required",
            "type": "value_error.missing",
        }
    detail = {
        "loc": ["body", *row["loc"]],
        "msg": row["msg"],
        "type": row["type"],
        "url": ERRORS_URL + row["type"],
        "input": row["input"],
    }
    return {**detail, "ctx": row["ctx"]} if "ctx" in row else detail
