"""A dataset's check as everybody has it, over doubles that let every picture pass."""

from collections.abc import Mapping
from typing import Any

from lora_drop.datasets.parameters import ResolvedParameters
from lora_drop.services.check import Checked, Checker, DatasetInput, ValidDataset
from tests.support.builders import APPLICATION
from tests.support.memory import MemoryFal
from tests.support.memory_files import MemoryRange
from tests.support.pictures import BlindPictures


def anything(_: ResolvedParameters) -> None:
    """Every LoRA is there to go on from."""


def checked(
    data: bytes | MemoryRange,
    *,
    key: str = "portrait/ada.zip",
    metadata: Mapping[str, str] | None = None,
    seed: str = "0123456789",
    application: str = APPLICATION,
    **how: Any,
) -> Checked:
    """The verdict on these bytes."""
    given = {"pictures": BlindPictures(), "prices": MemoryFal(), "checkpoint": anything, **how}
    archive = MemoryRange(data) if isinstance(data, bytes) else data
    drop = DatasetInput(archive, key.rsplit("/", 1)[-1], key, metadata or {}, seed, application)
    return Checker(**given).check(drop)


def good(data: bytes, **how: Any) -> ValidDataset:
    """What is trained with; fails when the dataset is refused."""
    found = checked(data, **how)
    assert found.good is not None, found.report.errors
    return found.good


def errors(data: bytes | MemoryRange, **how: Any) -> list[str]:
    """The codes of what is wrong."""
    return [problem.code for problem in checked(data, **how).report.errors]


def warnings(data: bytes, **how: Any) -> list[str]:
    """The codes of what could be better, but for what every test's archive has."""
    ever = {"dataset_few_images", "dataset_no_captions"}
    return [each.code for each in checked(data, **how).report.warnings if each.code not in ever]
