"""Every code a dataset can be refused or warned with, or that says what was changed about it.

``MEANINGS`` is the one list; docs/dataset-errors.md is made from it, and the report takes the heading
of several like problems from it. A code never changes what it means: it goes, and a new one comes.
"""

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from lora_drop.datasets.codes.archive import ARCHIVE
from lora_drop.datasets.codes.caption import CAPTION
from lora_drop.datasets.codes.dataset import DATASET
from lora_drop.datasets.codes.image import IMAGE
from lora_drop.datasets.codes.meaning import Kind, Meaning
from lora_drop.datasets.codes.parameter import PARAMETER

__all__ = ["MEANINGS", "PREFIXES", "Kind", "Meaning", "rank"]

# What a code speaks of, by what has to be mended first: while the ZIP is damaged, nothing else that
# was found is certain, and a set that is too small stays too small whatever a caption says.
PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "archive": "the ZIP itself",
        "dataset": "what the ZIP holds, as a whole",
        "image": "one photo",
        "caption": "the text beside a photo",
        "parameter": "what the training is told",
    }
)

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    dict(
        chain.from_iterable(
            table.items() for table in (ARCHIVE, DATASET, IMAGE, CAPTION, PARAMETER)
        )
    )
)


def rank(code: str) -> int:
    """How soon a problem with this code has to be mended; the smallest number first."""
    order = [*PREFIXES]
    prefix = code.partition("_")[0]
    return order.index(prefix) if prefix in order else len(order)
