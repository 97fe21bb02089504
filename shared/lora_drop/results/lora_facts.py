"""What is kept of a LoRA's header: bounded, because the file comes from outside."""

import re
from collections import Counter
from collections.abc import Mapping

from lora_drop.jobs.artifacts import LoraFacts
from lora_drop.jobs.problems import shortened
from lora_drop.results.safetensors import Tensor, check_weights

MAX_KEYS, MAX_KEY, MAX_VALUE = 32, 64, 200  # of the metadata; characters
MAX_RANKS, MAX_DTYPES = 16, 8
MAX_RANK = 2**16  # far above what any base model has; a larger number is no rank
# The first of a LoRA's two matrices, whose first dimension is the rank: PEFT's name and kohya's
# (https://huggingface.co/docs/peft/developer_guides/checkpoint, https://github.com/kohya-ss/sd-scripts networks/lora.py).
FIRST_MATRIX = re.compile(r"(^|\.)(lora_A|lora_down)(\.[^.]+)?\.weight$")


def lora_facts(head: bytes, *, file_size: int) -> LoraFacts:
    """Return what a LoRA's header says, from its first 8 bytes and its header; raises InvalidWeightsError.

    ``file_size`` in bytes.
    """
    summary = check_weights(head, file_size=file_size)
    tensors = summary.entries.values()
    dtypes = Counter(tensor.dtype for tensor in tensors).most_common(MAX_DTYPES)
    return LoraFacts(
        size=file_size,
        tensors=summary.tensors,
        dtypes=tuple(dtype for dtype, _ in dtypes),
        ranks=_ranks(summary.entries),
        metadata=_metadata(summary.metadata),
    )


def _ranks(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    found = {
        tensor.shape[0]
        for name, tensor in tensors.items()
        if len(tensor.shape) > 1 and FIRST_MATRIX.search(name)
    }
    return tuple(sorted(rank for rank in found if 0 < rank <= MAX_RANK))[:MAX_RANKS]


def _metadata(said: Mapping[str, str]) -> dict[str, str]:
    rows = sorted((name, value) for name, value in said.items() if name)[:MAX_KEYS]
    return {_bounded(name, MAX_KEY): _bounded(value, MAX_VALUE) for name, value in rows}


def _bounded(text: str, most: int) -> str:
    """Return a text from outside, short and with nothing in it that a terminal or a log would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in shortened(text, most))
