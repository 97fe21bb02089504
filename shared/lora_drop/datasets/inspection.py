"""What a look at every file of an archive has found."""

from dataclasses import dataclass, field

from lora_drop.datasets.captions import Caption
from lora_drop.datasets.images.hints import Photo
from lora_drop.jobs.problems import Problem


@dataclass(slots=True)
class InspectionResult:
    """What was found, by the files' names in the order in which they lie."""

    photos: dict[str, Photo] = field(default_factory=dict)
    refused: dict[str, Problem] = field(default_factory=dict)
    captions: dict[str, Caption] = field(default_factory=dict)
    left_out: dict[str, Problem] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
