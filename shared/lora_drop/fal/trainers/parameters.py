"""A trainer and its inputs for one job, and the source of each value."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS
from lora_drop.fal.trainers.trainer import STEPS, TRIGGER_PHRASE, Trainer

TRAINER = "trainer"


class ParameterSource(StrEnum):
    """Who decided a parameter, weakest first; ``default`` is fal, and the stack for the trainer."""

    DEFAULT = "default"
    PRESET = "preset"
    TRAINING_JSON = "training.json"
    METADATA = "metadata"
    GENERATED = "generated"


class TrainingParameters(BaseModel):
    """A trainer and its inputs besides the dataset's address, under our names.

    Flat, as it stands in a job's row and in job.json, and as ``training.json`` takes it. It holds
    what ``resolve`` has let pass and nothing that is empty; a row from before there were several
    trainers is the portrait trainer's.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, bool | int | float | str]

    trainer: str = DEFAULT.application

    @model_validator(mode="before")
    @classmethod
    def _typed(cls, data: Any) -> Any:
        """Without what is empty, and with numbers of their own kind: a row has decimals alone."""
        if not isinstance(data, Mapping):
            return data
        fields = {field.name: field for field in _trainer(data.get(TRAINER)).fields}
        return {
            name: fields[name].stored(value) if name in fields else value
            for name, value in data.items()
            if value not in (None, "")
        }

    @property
    def values(self) -> Mapping[str, Value]:
        """Every input that is sent."""
        return MappingProxyType(self.__pydantic_extra__)

    @property
    def steps(self) -> int:
        """How long it trains, which is what is paid for."""
        return int(self.values[STEPS])

    @property
    def trigger_phrase(self) -> str | None:
        """The word that calls up what is learnt; also, where a trainer has it, the default caption."""
        phrase = self.values.get(TRIGGER_PHRASE)
        return None if phrase is None else str(phrase)

    def arguments(self, dataset_url: str) -> dict[str, Any]:
        """Return the request body for fal, under the trainer's own names."""
        return _trainer(self.trainer).arguments(self.values, dataset_url)


def _trainer(application: object) -> Trainer:
    """Return the trainer of a row; one that this version does not know is taken for the first there was."""
    return TRAINERS.get(str(application), DEFAULT)
