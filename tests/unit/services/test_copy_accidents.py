"""The store worker dies, or a call fails, at every one of its effects; then the queue delivers again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, make_job, make_weights
from tests.support.outcome import Killed, MortalWorld, Outcome, Throttled

PART = 200
LORA = make_weights(4 * PART)
CONFIG = b'{"rank": 16}'
EXTRA = b"s" * (2 * PART + 1)
FILES = {"lora.safetensors": LORA, "config.json": CONFIG, "samples.bin": EXTRA}
ARTIFACTS = tuple(Artifact(name=name, url=f"https://v3.fal.media/{name}") for name in FILES)
ACCIDENTS: list[Callable[[], BaseException]] = [Killed, Throttled]


class Story:
    """One job whose result is ready to be copied."""

    def __init__(self, fate: Outcome) -> None:
        self.world = MortalWorld(fate=fate)
        self.world.source.files = dict(FILES)
        self.world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
        self.job = self.world.holds(make_job(Status.STORING, artifacts=ARTIFACTS))

    def deliver(self) -> None:
        """The queue's message, once."""
        replace(self.world.result_storer, part=PART).store_result(self.job.job_id)

    def redeliver(self) -> Job:
        """Again and again, as long as it comes back; each time the visibility timeout later."""
        for _ in range(4):
            self.world.clock.now += timedelta(minutes=18)
            with suppress(LoraDropError):
                self.deliver()
        return self.world.job(self.job.job_id)

    def sweep(self) -> None:
        """As the reconciler does it."""
        self.world.results.sweep(
            older_than=self.world.clock.now,
            keep={upload.upload_id for upload in self.world.job(self.job.job_id).uploads},
        )

    def check(self) -> None:
        """The job has ended well, and what lies there is what fal served, and nothing else."""
        job = self.redeliver()
        self.sweep()
        assert job.status is Status.SUCCEEDED
        lying = {
            key.removeprefix(job.prefix): data for key, data in self.world.results.files.items()
        }
        assert {name: lying.pop(name) for name in FILES} == FILES
        assert set(lying) == {"job.json", "status.json"}
        assert {(file.name, file.size) for file in job.files} == {
            (name, len(data)) for name, data in FILES.items()
        }
        assert self.world.results.uploads == {}
        assert (job.uploads, job.lease) == ((), None)


def undisturbed() -> list[str]:
    story = Story(Outcome())
    story.deliver()
    return story.world.fate.effects


EFFECTS = undisturbed()
ANY_EFFECT = pytest.mark.parametrize("at", range(1, len(EFFECTS) + 1), ids=lambda at: f"{at}")
EITHER_SIDE = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
ANY_ACCIDENT = pytest.mark.parametrize("accident", ACCIDENTS, ids=["killed", "throttled"])


def test_an_undisturbed_copy_has_these_effects_or_the_rest_would_prove_nothing() -> None:
    assert [
        "replace STORING",  # the lease
        "begin lora.safetensors",
        "replace STORING",  # the upload, before its first part
        *(f"upload {number} of lora.safetensors" for number in (1, 2, 3, 4, 5)),
        "complete lora.safetensors",
        "put config.json",
        "begin samples.bin",
        "replace STORING",
        *(f"upload {number} of samples.bin" for number in (1, 2, 3)),
        "complete samples.bin",
        "write job.json",
        "replace SUCCEEDED",
        "write status.json",
        "remove",
    ] == EFFECTS


@ANY_EFFECT
@EITHER_SIDE
@ANY_ACCIDENT
def test_no_accident_loses_a_result_or_leaves_anything_behind(
    at: int,
    after: bool,  # noqa: FBT001  # a table's column
    accident: Callable[[], BaseException],
) -> None:
    story = Story(Outcome(at=at, after=after, accident=accident))

    with pytest.raises((Killed, Throttled)):
        story.deliver()

    story.check()


@ANY_EFFECT
@EITHER_SIDE
def test_two_accidents_are_no_worse(
    at: int,
    after: bool,  # noqa: FBT001  # a table's column
) -> None:
    for second in range(1, len(EFFECTS) + 6):
        story = Story(Outcome(at=at, after=after))
        with pytest.raises(Killed):
            story.deliver()
        story.world.clock.now += timedelta(minutes=18)
        story.world.fate.at = len(story.world.fate.effects) + second
        with suppress(Killed):
            story.deliver()
        story.world.fate.at = 0

        story.check()


@ANY_EFFECT
@EITHER_SIDE
def test_what_had_arrived_is_not_fetched_again(
    at: int,
    after: bool,  # noqa: FBT001  # a table's column
) -> None:
    story = Story(Outcome(at=at, after=after))
    with pytest.raises(Killed):
        story.deliver()
    results = story.world.results
    there = {
        (upload.key.rsplit("/", 1)[-1], (number - 1) * PART)
        for upload_id, upload in results.uploads.items()
        if upload_id in {each.upload_id for each in story.world.job(story.job.job_id).uploads}
        for number in upload.parts
    }
    whole = {key.rsplit("/", 1)[-1] for key in results.files}
    story.world.source.reads.clear()

    story.redeliver()

    fetched = story.world.source.reads
    assert not there & set(fetched)
    assert not whole & {name for name, _ in fetched}
    assert len(fetched) == len(set(fetched))


@ANY_EFFECT
@EITHER_SIDE
def test_a_result_that_has_arrived_whole_survives_that_fal_and_its_cdn_forget_it(
    at: int,
    after: bool,  # noqa: FBT001  # a table's column
) -> None:
    story = Story(Outcome(at=at, after=after))
    with pytest.raises(Killed):
        story.deliver()
    has_all = EFFECTS.index("upload 3 of samples.bin") + 1
    story.world.source.gone = {artifact.url for artifact in ARTIFACTS}

    job = story.redeliver()

    if at > has_all or (at == has_all and after):
        assert job.status is Status.SUCCEEDED
    else:
        assert job.status is Status.STORING  # fal still names it: a person may help


@ANY_EFFECT
def test_who_takes_over_in_the_middle_ends_the_job_and_the_first_can_do_no_harm(at: int) -> None:
    """The first is only slow: it comes to life again when the second is done."""
    taken: list[Job] = []

    def overtaken() -> BaseException:
        story.world.fate.at = 0
        story.world.clock.now += timedelta(minutes=15)
        story.deliver()
        taken.append(story.world.job(story.job.job_id))
        return Continue()

    class Continue(Exception):  # nothing goes wrong
        pass

    story = Story(Outcome(at=at, accident=overtaken))
    act = story.world.fate.act

    def going_on[R](name: str, effect: Callable[[], R]) -> R:
        try:
            return act(name, effect)
        except Continue:
            return effect()

    story.world.fate.act = going_on  # type: ignore[method-assign]  # this one fate is kinder
    with suppress(LoraDropError):
        story.deliver()

    [ended] = taken
    assert ended.status is Status.SUCCEEDED
    assert story.world.job(story.job.job_id) == ended
    story.check()
