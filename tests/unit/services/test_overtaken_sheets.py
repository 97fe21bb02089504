"""A comparison that is overtaken by one of more pictures leaves the files of the newer one, wherever it dies."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import JOB_FILE
from lora_drop.jobs.proof import PICTURE_NAME, PROOF_FILE, PROOF_FOLDER, PROOF_PAGE, ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.services.proof_results import ProofResults
from lora_drop.services.proof_sheets import ProofSheets
from tests.support.builders import make_job, make_jpeg
from tests.support.likeness import Training, trained
from tests.support.outcome import Killed

FILES = (PROOF_FILE, PROOF_PAGE, JOB_FILE)


@dataclass
class Overtaken:
    """A comparison at whose beginning another worker takes in a picture that came after all."""

    results: ProofResults
    meanwhile: Callable[[], object]
    times: int = 1
    measured: list[int] = field(default_factory=list)

    def measure(self, parent: Job, pictures: Sequence[Job]) -> ProofSheet:
        self.measured.append(sum(each.status is Status.SUCCEEDED for each in pictures))
        if self.times:
            self.times -= 1
            self.meanwhile()
        return self.results.measure(parent, pictures)


def overtaken() -> tuple[Training, Overtaken]:
    """A training whose third picture is cancelled, and comes right after a worker has begun to compare the others."""
    training = trained("ada 20", "ada 21", "bob 22", failed={3: Status.CANCELLED})
    world, late = training.world, training.pictures[2]
    for each in (training.job, *training.pictures):
        world.holds(each)

    def other_worker() -> None:
        key = f"{training.job.prefix}{PROOF_FOLDER}/3/{PICTURE_NAME}"
        world.results.files[key] = make_jpeg("ada 22")
        made = make_job(
            Status.SUCCEEDED,
            job_id=late.job_id,
            picture=late.picture,
            files=(world.results.reread(key),),
        )
        world.holds(made.model_copy(update={"version": late.version + 3}))
        ProofSheets(world.record, training.results).finish(training.job.job_id)

    return training, Overtaken(training.results, other_worker)


def check_files(training: Training) -> None:
    """All three pictures are in the row and in each of the three files."""
    row = training.world.job(training.job.job_id)
    assert row.proof
    assert row.proof.likeness
    assert len(row.proof.likeness.pictures) == 3
    files = [each["file"] for each in json.loads(training.file(PROOF_FILE))["pictures"]]
    assert files == [f"{number}/{PICTURE_NAME}" for number in (1, 2, 3)]
    assert f"3/{PICTURE_NAME}" in training.file(PROOF_PAGE)
    story = json.loads(training.world.results.files[training.job.prefix + JOB_FILE])
    assert story["proof"]["likeness"] == row.proof.likeness.model_dump(mode="json")


@pytest.mark.promise("never lose a result")
def test_overtaken_comparison_is_made_again() -> None:
    """A comparison that ends after one of more pictures is made again, of those, and their files stay."""
    training, slow = overtaken()
    ProofSheets(training.world.record, slow).finish(training.job.job_id)
    assert slow.measured == [2, 3]
    check_files(training)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("last", FILES)
def test_dead_comparison_leaves_no_older_files(last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies after it wrote older files over newer ones has its message delivered again, which mends them."""
    training, slow = overtaken()
    results = training.world.results
    write, armed = results.write, set[str]()

    def dying(key: str, *file: object, **how: object) -> StoredFile:
        stored = write(key, *file, **how)  # type: ignore[arg-type]  # as it was called
        if key.endswith(tuple(armed)):
            raise Killed
        return stored

    begin = slow.meanwhile

    def then_die() -> None:
        begin()
        armed.add(last)

    slow.meanwhile = then_die
    monkeypatch.setattr(results, "write", dying)
    sheets = ProofSheets(training.world.record, slow)
    with pytest.raises(Killed):
        sheets.finish(training.job.job_id)
    armed.clear()
    sheets.finish(training.job.job_id, again=True)
    check_files(training)


def test_finished_sheet_is_not_measured_twice() -> None:
    training, slow = overtaken()
    slow.times = 0
    sheets = ProofSheets(training.world.record, slow)
    for _ in range(2):
        sheets.finish(training.job.job_id)
    assert slow.measured == [2]
