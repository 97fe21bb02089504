"""What is kept in mind of a stored LoRA's own header."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class LoraFacts(BaseModel):
    """What the header of a stored LoRA says: its tensors, their types and ranks, and its own metadata.

    It comes from a file that fal has sent: ``results.lora_facts`` bounds each text and each list.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    size: int = Field(description="bytes of the file")
    tensors: int = Field(description="how many tensors it holds")
    dtypes: tuple[str, ...] = Field(
        default=(), description="types of their numbers, the one of most tensors first"
    )
    ranks: tuple[int, ...] = Field(
        default=(), description="the ranks of its matrices, each once, the smallest first"
    )
    metadata: Mapping[str, str] = Field(
        default={}, description="`__metadata__` of the file, cut where it is long"
    )
