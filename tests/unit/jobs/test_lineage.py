"""``latest.json`` names the LoRA of the job that was ordered last, whatever comes in which order."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.lineage import MAX_EARLIER, DatasetLora, LatestLora, latest_key
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_dataset, make_job


def job_with_lora(number: int, **changes: Any) -> Job:
    """A job that was ordered so many minutes after the first."""
    job_id = f"ada-{number:010}"
    weights = StoredFile(
        name="lora.safetensors", bucket="models", key=f"{job_id}/lora", size=number, sha256="ab"
    )
    made = {
        "job_id": job_id,
        "created_at": NOW + timedelta(minutes=number),
        "files": (weights,),
    }
    return make_job(Status.SUCCEEDED, **{**made, **changes})


def lora(number: int) -> DatasetLora:
    found = DatasetLora.of(job_with_lora(number))
    assert found is not None
    return found


def latest(*numbers: int) -> LatestLora:
    found = LatestLora.of_all(map(lora, numbers))
    assert found is not None
    return found


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_newest_order_is_latest(order: tuple[int, ...]) -> None:
    first, *others = order
    found = latest(first)
    for number in others:
        found = found.with_lora(lora(number))
    assert found.loras == (lora(3), lora(2), lora(1))
    assert found == latest(1, 2, 3)
    assert found.with_lora(lora(2)) == found, "the same once more changes nothing"


def test_file_is_read_as_written() -> None:
    found = latest(1, 2)
    assert LatestLora.read(found.model_dump_json(indent=2)) == found
    for foreign in ("", "{}", "[]", "null", '{"job_id": "ada"}', "\x00", "[" * 100_000):
        assert LatestLora.read(foreign) is None


def test_file_stays_small() -> None:
    found = latest(*range(100))
    assert len(found.loras) == MAX_EARLIER + 1
    assert (found.job_id, found.loras[-1].job_id) == ("ada-0000000099", "ada-0000000079")
    assert len(found.model_dump_json(indent=2)) < 16_000


def test_job_is_taken_out() -> None:
    found = latest(1, 2, 3)
    assert found.without(job_with_lora(3)) == latest(1, 2)
    assert found.without(job_with_lora(1)) == latest(2, 3)
    assert found.without(job_with_lora(4)) == found
    assert latest(1).without(job_with_lora(1)) is None
    assert [found.names(job_with_lora(number)) for number in (3, 1, 4)] == [True, True, False]


def test_file_of_its_folder_counts() -> None:
    owner = job_with_lora(1)
    weights = owner.files[0].model_copy(update={"key": owner.prefix + "lora.safetensors"})
    duplicate = DatasetLora.of(job_with_lora(2, files=(weights,)))
    assert duplicate is not None
    found = LatestLora.of_all([duplicate])
    assert found is not None
    assert found.names(owner)
    assert found.without(owner) is None


def test_other_key_is_not_earlier() -> None:
    """Keys that share a folder share the file, and a job names none of another key: that one may be forgotten alone."""
    found = latest(1, 2)
    for key in ("portrait/ada.ZIP", "portrait/ada"):
        assert found.before(job_with_lora(3, dataset=make_dataset(key))) == ()


def test_earlier_ones_are_before() -> None:
    found = latest(1, 2, 4)
    assert found.before(job_with_lora(3)) == ("ada-0000000002", "ada-0000000001")
    assert found.before(job_with_lora(4)) == ("ada-0000000002", "ada-0000000001")
    assert found.before(job_with_lora(1)) == ()


@pytest.mark.parametrize(
    "job",
    [
        job_with_lora(1, files=()),
        make_job(Status.STORING, files=job_with_lora(1).files),
        make_job(Status.FAILED),
    ],
)
def test_job_without_lora_is_none(job: Job) -> None:
    assert DatasetLora.of(job) is None


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("portrait/ada.zip", "portrait/ada/latest.json"),
        ("Ada.ZIP", "Ada/latest.json"),
        ("ada", "ada/latest.json"),
        ("a" * 1000 + ".zip", "a" * 800 + "/latest.json"),
    ],
)
def test_file_lies_beside_the_jobs(key: str, place: str) -> None:
    assert latest_key(key) == place
