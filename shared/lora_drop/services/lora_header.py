"""What the header of a stored LoRA says, read from where the LoRA lies."""

from lora_drop.jobs.artifacts import LoraFacts, StoredFile
from lora_drop.jobs.errors import DatasetUnreadableError
from lora_drop.ports import ResultStore
from lora_drop.results.lora_facts import lora_facts
from lora_drop.results.safetensors import PREFIX, InvalidWeightsError, header_length
from lora_drop.services.internal_errors import INTERNAL_ERRORS

FIRST_READ = 256 * 1024  # bytes; the header of a usual LoRA is smaller, and one call reads it


def read_lora_facts(results: ResultStore, weights: StoredFile | None) -> LoraFacts | None:
    """Return what the LoRA's header says; None where there is no LoRA, or no header that is sound.

    It is read from the bucket and not while the file is copied: a copy that was broken off, or taken over, is never
    seen from its first byte on. Neither a header that cannot be read nor a mistake of ours keeps a paid LoRA from its end.
    """
    if weights is None:
        return None
    try:
        head = results.read(weights, FIRST_READ)
        end = PREFIX + header_length(head[:PREFIX])
        if end > len(head):
            head = results.read(weights, end)
        return lora_facts(head[:end], file_size=weights.size)
    except (InvalidWeightsError, DatasetUnreadableError, *INTERNAL_ERRORS):
        return None
