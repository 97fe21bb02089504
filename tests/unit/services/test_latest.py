"""``latest.json`` names the newest LoRA of a dataset, in spite of any order and any failure, and no forgotten job."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.lineage import LatestLora, latest_key
from lora_drop.jobs.status import Status
from lora_drop.ports import Erasable, Place, StoredText
from lora_drop.services.latest import ATTEMPTS, LatestLoras
from lora_drop.services.record import SETTLED_AFTER
from lora_drop.services.store import BEGINNINGS
from tests.support.builders import ARTIFACTS, make_jpeg
from tests.support.forgetting import DONE, forget, left_of, trained
from tests.support.memory_files import MemoryResults
from tests.support.outcome import Killed
from tests.support.world import World

KEY = "portrait/ada.zip"


def latest(world: World, key: str = KEY) -> LatestLora | None:
    data = world.results.files.get(latest_key(key))
    return None if data is None else LatestLora.read(data.decode())


def named(world: World, key: str = KEY) -> list[str]:
    found = latest(world, key)
    return [lora.job_id for lora in found.loras] if found else []


def submitted(world: World, *, photo: str, key: str = KEY) -> Job:
    """A new version of the dataset with a photo of its own, a minute later than what was before."""
    world.clock.now += timedelta(minutes=1)
    return world.submit(world.drop(key, members={f"{photo}.jpg": make_jpeg(photo)}))


@pytest.mark.promise("it can be operated", "latest.json names the newest LoRA of each dataset.")
def test_latest_names_the_lora(world: World) -> None:
    job = trained(world)
    found = latest(world)
    assert found is not None
    assert job.weights
    assert found.model_dump(exclude={"created_at", "at"}) == {
        "job_id": job.job_id,
        "bucket": "models",
        "key": job.weights.key,
        "size": job.weights.size,
        "sha256": job.weights.sha256,
        "dataset": KEY,
        "earlier": (),
    }
    assert (found.created_at, found.at) == (job.created_at, job.since)
    assert (job.lora and job.lora.size, job.earlier) == (job.weights.size, ())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_older_job_never_replaces_newer(world: World, order: tuple[int, ...]) -> None:
    """The job that was ordered last is the latest one, whichever ends last."""
    world.limits = replace(world.limits, max_in_flight=9)
    jobs = [submitted(world, photo=photo) for photo in "abc"]
    ended = {number: world.train(jobs[number]) for number in order}
    assert named(world) == [job.job_id for job in reversed(jobs)]
    before_last = [jobs[number].job_id for number in (1, 0) if number in order[: order.index(2)]]
    assert list(ended[2].earlier) == before_last
    assert list(ended[0].earlier) == []


def test_duplicate_is_latest_too(world: World) -> None:
    first = trained(world)
    world.clock.now += timedelta(minutes=1)
    second = world.submit(world.drop(KEY))
    assert (second.duplicate_of, second.earlier) == (first.job_id, (first.job_id,))
    assert second.lora == first.lora
    found = latest(world)
    assert found is not None
    assert first.weights
    assert (found.job_id, found.key) == (second.job_id, first.weights.key)


def test_job_without_lora_is_not_latest(world: World) -> None:
    world.submit(world.drop(KEY, images=3))
    assert latest(world) is None


@pytest.mark.promise("never lose a result", "A LoRA that latest.json lost is named again.")
def test_reconciler_repairs_latest(world: World) -> None:
    job = trained(world)
    world.results.remove(latest_key(KEY))
    world.clock.now += timedelta(minutes=6)
    world.reconciler.reconcile()
    assert named(world) == [job.job_id]


def test_store_repairs_latest(world: World) -> None:
    job = trained(world)
    world.results.write(latest_key(KEY), "not ours", "text/plain")
    world.result_storer.store_result(job.job_id)
    assert named(world) == [job.job_id]


def test_job_stays_open_until_named(world: World) -> None:
    """A function without the right to latest.json closes no job with a LoRA."""
    job = trained(world)
    world.results.remove(latest_key(KEY))
    world.clock.now += SETTLED_AFTER
    plain = replace(world.record, latest=None)
    plain.publish_again(job)
    assert [each.job_id for each in world.jobs.unfinished()] == [job.job_id]
    assert named(world) == []
    world.reconciler.reconcile()
    assert (list(world.jobs.unfinished()), named(world)) == ([], [job.job_id])


@dataclass
class ContendedResults(MemoryResults):
    """Another function writes the file between reading and writing, so many times."""

    times: int = 0
    meanwhile: Callable[[], None] = field(default=lambda: None)

    def replace_text(self, key: str, before: StoredText | None, text: str) -> bool:
        if self.times:
            self.times -= 1
            self.meanwhile()
            return False
        return super().replace_text(key, before, text)


def test_two_writers_lose_nothing(world: World) -> None:
    results = world.results = ContendedResults()
    world.limits = replace(world.limits, max_in_flight=9)
    first, second = (submitted(world, photo=photo) for photo in "ab")

    def other_ends() -> None:
        results.times = 0
        world.train(second)

    results.times, results.meanwhile = 1, other_ends
    world.train(first)
    assert named(world) == [second.job_id, first.job_id]


def test_what_was_read_before_is_no_proof(world: World) -> None:
    """A file that was read for the earlier LoRAs may be another by the time of the change."""
    first = trained(world)
    keeper = LatestLoras(world.results)
    assert keeper.before(first) == ()
    world.results.files[latest_key(KEY)] = b"{}"
    keeper.add(first)
    assert named(world) == [first.job_id]


def test_endless_contention_is_said(world: World) -> None:
    results = world.results = ContendedResults()
    job = submitted(world, photo="a")
    results.times = ATTEMPTS * BEGINNINGS
    with pytest.raises(ConflictError):
        world.train(job)
    assert world.job(job.job_id).status is Status.SUCCEEDED, "and the queue brings it back"
    world.result_storer.store_result(job.job_id)
    assert named(world) == [job.job_id]


@pytest.mark.promise("nothing leaks", "latest.json names no forgotten job, nor its file.")
def test_forgotten_job_is_not_named(world: World) -> None:
    job = trained(world)
    forget(world, job)
    assert left_of(world, "ada") == []


def test_late_writer_is_forgotten_too(world: World) -> None:
    """A function that had read the job before it was forgotten names it once more: the last look erases that."""
    job = trained(world)
    world.forget_service.forget(job.job_id)
    world.latest.add(job)
    world.clock.now += DONE
    [proof] = world.forget_service.go_on()
    assert proof.done_at
    assert left_of(world, "ada") == []


def shared_folder(world: World) -> tuple[Job, Job]:
    """Two datasets whose jobs lie in one folder, because their keys differ in .zip alone."""
    job = trained(world)
    other = submitted(world, photo="other", key="portrait/ada.ZIP")
    other = world.train(other)
    world.queue.handed.clear()
    return job, other


@pytest.mark.parametrize("newer", [False, True])
def test_others_stay_named(world: World, *, newer: bool) -> None:
    """Forgetting a job leaves the LoRAs of others named, whether they are newer or older."""
    both = shared_folder(world)
    gone, stays = both[newer], both[not newer]
    assert named(world) == [both[1].job_id, both[0].job_id]
    [proof] = forget(world, gone)
    assert proof.done_at
    assert named(world) == [stays.job_id]
    assert left_of(world, gone.job_id) == []


def test_new_drop_survives_erasing(world: World) -> None:
    """A LoRA that is stored while its dataset's earlier job is being erased is named at the end."""
    world.datasets.now = world.clock
    old = trained(world)
    world.forget_service.forget(old.job_id)
    new = submitted(world, photo="new")
    world.fal_updates.receive(
        new.job_id, Finished(world.job(new.job_id).request_id or "", ARTIFACTS)
    )
    done = world.result_storer.store_result(new.job_id)
    world.latest.add(old)
    world.clock.now += DONE
    world.forget_service.go_on()
    assert (named(world), done.earlier) == ([new.job_id], ())


class NamedMeanwhile(LatestLoras):
    """A function that had read the job names it once more, right before its erasing is looked over."""

    late: ClassVar[list[Job]] = []

    def erasable(self, job: Job) -> Callable[[Erasable], bool]:
        goes = super().erasable(job)
        while self.late:
            self.add(self.late.pop())
        return goes


def test_named_job_is_not_done(world: World) -> None:
    """An erasing does not end while the file of others names the job."""
    gone, stays = shared_folder(world)
    world.forget_service.forget(gone.job_id)
    world.clock.now += DONE
    NamedMeanwhile.late.append(gone)
    [proof] = replace(world.forget_service, latest=NamedMeanwhile(world.results)).go_on()
    assert proof.done_at is None
    [proof] = world.forget_service.go_on()
    assert proof.done_at
    assert named(world) == [stays.job_id]


@dataclass
class VersionedResults(MemoryResults):
    """A bucket that keeps what a text was before."""

    texts: dict[str, list[str]] = field(default_factory=dict)

    def read_text(self, key: str) -> StoredText | None:
        found = super().read_text(key)
        return found and replace(found, version_id=f"v{len(self.texts.get(key, []))}")

    def replace_text(self, key: str, before: StoredText | None, text: str) -> bool:
        written = super().replace_text(key, before, text)
        if written:
            self.texts.setdefault(key, []).append(text)
        return written

    def versions(self, place: Place) -> list[list[Erasable]]:
        found = [each for batch in super().versions(place) for each in batch]
        plain = [each for each in found if each.key not in self.texts]
        kept = [
            Erasable(key, f"v{number}", self.now())
            for key, texts in self.texts.items()
            for number, text in enumerate(texts, 1)
            if text and (key.startswith(place.key) if place.folder else key == place.key)
        ]
        return [plain + kept] if plain + kept else []

    def erase(self, versions: object) -> None:
        for each in versions:  # type: ignore[attr-defined]  # a sequence
            texts = self.texts.get(each.key)
            if texts is None:
                self.remove(each.key)
                continue
            texts[int(each.version_id[1:]) - 1] = ""
            if not texts[-1]:
                self.remove(each.key)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("newer", [False, True])
def test_old_versions_are_erased(world: World, *, newer: bool) -> None:
    """What latest.json said before is erased as well, and what it says of others stays."""
    results = world.results = VersionedResults()
    both = shared_folder(world)
    gone, stays = both[newer], both[not newer]
    [proof] = forget(world, gone)
    assert proof.done_at
    assert named(world) == [stays.job_id]
    assert gone.job_id not in repr(results.texts)


def erased_everywhere(world: World, job: Job) -> None:
    """Let the erasing go on until it says that it is done, and look for the job's id in everything that is left."""
    world.clock.now += DONE
    for _ in range(3):
        world.forget_service.go_on()
        world.reconciler.reconcile()
    assert [each.done_at is None for each in world.jobs.erasures.values()] == [False]
    assert left_of(world, job.job_id) == []
    assert all(job.job_id.encode() not in data for data in world.results.files.values())


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("duplicate", [False, True])
def test_forgotten_job_comes_back_in_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, *, duplicate: bool
) -> None:
    """A job that ends while another of its dataset is being forgotten does not name that one."""
    world.datasets.now = world.clock
    if duplicate:
        world.train(submitted(world, photo="new", key="portrait/bo.zip"))
        world.queue.handed.clear()
    old = trained(world)
    with monkeypatch.context() as dying:
        dying.setattr(world.jobs, "keep", _killed)
        with pytest.raises(Killed):
            world.forget_service.forget(old.job_id)
    assert named(world) == [old.job_id], "it died before it came to the file"
    new = submitted(world, photo="new")
    done = new if duplicate else world.train(new)
    assert (done.status, done.earlier) == (Status.SUCCEEDED, ())
    assert (done.duplicate_of is not None) == duplicate
    world.queue.handed.clear()
    erased_everywhere(world, old)


def _killed(*_: object) -> None:
    raise Killed


@pytest.mark.promise("nothing leaks")
def test_late_round_names_no_forgotten_job(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of the reconciler that had read a job before it was forgotten does not name it again."""
    world.datasets.now = world.clock
    old = trained(world)
    write, names = world.results.write, [old.prefix + "status.json"]

    def forgotten_meanwhile(key: str, *file: Any, **how: Any) -> StoredFile:
        if key in names:
            names.clear()
            world.forget_service.forget(old.job_id)
        return write(key, *file, **how)

    monkeypatch.setattr(world.results, "write", forgotten_meanwhile)
    world.clock.now += timedelta(minutes=6)
    world.reconciler.reconcile()
    assert (names, named(world)) == ([], [])
    new = world.train(submitted(world, photo="new"))
    assert (named(world), new.earlier) == ([new.job_id], ())
    world.queue.handed.clear()
    erased_everywhere(world, old)


@pytest.mark.promise("nothing leaks")
def test_job_forgotten_as_it_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is forgotten between its last write and its files comes back in no other, and nothing of it stays."""
    world.datasets.now = world.clock
    old = submitted(world, photo="old")
    write, forgotten = world.results.write, list[str]()

    def forgotten_meanwhile(key: str, *file: Any, **how: Any) -> StoredFile:
        ended = key == old.prefix + "status.json" and world.job(old.job_id).terminal
        if ended and not forgotten:
            forgotten.append(old.job_id)
            world.forget_service.forget(old.job_id)
        return write(key, *file, **how)

    with monkeypatch.context() as racing:
        racing.setattr(world.results, "write", forgotten_meanwhile)
        world.train(old)
    assert forgotten
    new = world.train(submitted(world, photo="new"))
    assert new.earlier == ()
    world.queue.handed.clear()
    erased_everywhere(world, old)
    assert named(world) == [new.job_id]


def test_first_lora_costs_no_look_for_erasures(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a job was forgotten is asked of those alone that the file names."""
    asked: list[str] = []
    forgotten = world.jobs.forgotten

    def counted(job_id: str) -> bool:
        asked.append(job_id)
        return forgotten(job_id)

    first = submitted(world, photo="a")
    monkeypatch.setattr(world.jobs, "forgotten", counted)
    world.train(first)
    assert asked == []
    second = submitted(world, photo="b")
    asked.clear()
    assert world.train(second).earlier == (first.job_id,)
    assert asked == [first.job_id]
