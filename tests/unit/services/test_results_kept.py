"""A result that fal has for a job is kept, whatever was said or done before it comes."""

from contextlib import suppress

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    DownloadInterruptedError,
    FalUnavailableError,
    ResultGoneError,
    SubmissionUnknownError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from lora_drop.services.store import DENIAL_STANDS
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job
from tests.support.duplicates import again, first
from tests.support.memory import MemoryFal
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"
BAD = Problem(code="fal_internal_server_error", message="fal ended the training.")
FINISHED = Finished(REQUEST_ID, ARTIFACTS)
MOVED = tuple(Artifact(name=each.name, url=each.url.replace("/a/", "/b/")) for each in ARTIFACTS)


def test_one_word_of_failure_while_the_result_is_stored_is_taken_back_by_the_result(
    world: World,
) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {each.name: ResultGoneError("404") for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Failed(REQUEST_ID, BAD)
    assert world.result_storer.store_result(job.job_id).status is Status.FAILED
    world.source.failing = {}

    world.fal_updates.receive(job.job_id, FINISHED)

    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_addresses_that_fal_names_anew_are_kept_before_anything_is_copied_from_them(
    world: World,
) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.gone = {each.url for each in ARTIFACTS}

    class Cutting(MemoryFal):
        def ask(self, application: str, request_id: str) -> FalStatus:
            world.source.failing = {each.name: DownloadInterruptedError("cut") for each in MOVED}
            return super().ask(application, request_id)

    world.fal = Cutting(facts={REQUEST_ID: Finished(REQUEST_ID, MOVED)})
    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.failing = {}
    world.fal = MemoryFal(facts={REQUEST_ID: Gone(REQUEST_ID)})

    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_living_addresses_that_are_delivered_take_the_place_of_dead_ones(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.gone = {each.url for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    world.result_storer.store_result(job.job_id)

    received = world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, MOVED))
    world.clock.now += DENIAL_STANDS

    assert (received.artifacts, received.problems) == (MOVED, ())
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_denials_count_only_in_a_row(world: World) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    for said in (Gone(REQUEST_ID), Running(REQUEST_ID, started=True), Gone(REQUEST_ID)):
        world.fal.facts[REQUEST_ID] = said
        with suppress(FalUnavailableError):  # the message comes again
            world.result_storer.store_result(job.job_id)
        world.clock.now += DENIAL_STANDS

    assert world.job(job.job_id).status is Status.STORING


def doubtful(world: World) -> Job:
    world.answer(SubmissionUnknownError("ReadTimeout"))
    return world.submit(world.drop())


@pytest.mark.parametrize("then", ["waits to be sent again", "is given up"])
def test_a_person_who_was_wrong_about_a_lost_submission_loses_no_result(
    world: World, then: str
) -> None:
    job = doubtful(world)
    world.manual_actions.not_submitted(job.job_id, by=ADA)
    if then == "is given up":
        world.manual_actions.cancel(job.job_id, by=ADA)
    world.answer(lambda: Submission("never"))

    received = world.fal_updates.receive(job.job_id, FINISHED)
    stored = world.result_storer.store_result(job.job_id)
    world.work()

    assert (received.status, received.request_id) == (Status.STORING, REQUEST_ID)
    assert stored.status is Status.SUCCEEDED
    assert [charge.state for charge in stored.charges] == ["spent"]
    assert len(world.fal.posts) == 1


def failed(world: World, job: Job) -> Job:
    return world.fal_updates.receive(job.job_id, Failed(job.request_id or "", BAD))


def test_a_retry_of_an_older_job_looks_at_the_newer_one_with_the_same_content(busy: World) -> None:
    older = failed(busy, first(busy))
    newer = failed(busy, again(busy))
    retry = busy.retry_service.retry(older.job_id, resume=False, by=ADA)
    busy.fal_updates.receive(newer.job_id, Finished(newer.request_id or "", ARTIFACTS))

    busy.work()

    assert busy.job(retry.job_id).problems[0].code == "earlier_result_came"
    assert len(busy.fal.posts) == 2


def test_what_a_newer_job_has_trained_already_is_not_retried(busy: World) -> None:
    older = failed(busy, first(busy))
    newer = busy.train(again(busy))

    with pytest.raises(ActionNotAllowedError, match=newer.job_id):
        busy.retry_service.retry(older.job_id, resume=False, by=ADA)


def test_a_retry_of_a_forced_job_is_not_held_for_what_was_trained_before_it(busy: World) -> None:
    busy.train(first(busy))
    forced = failed(busy, again(busy, metadata={"force": "true"}))

    retry = busy.retry_service.retry(forced.job_id, resume=False, by=ADA)
    busy.work()

    assert busy.job(retry.job_id).status is Status.SUBMITTED
