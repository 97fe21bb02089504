"""A ZIP goes through our own services and the real fal_client to its stored LoRA."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.budget import ChargeState
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    FalUnavailableError,
    InvalidWebhookError,
    StaleWebhookError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.simulator.conftest import Clock, PointFalClient, Simulate
from tests.simulator.fal_calls import Calls, Receiver, until
from tests.simulator.pipeline import deliver, submitted, to_its_end, world_at
from tests.support.phone import PHOTOS, phone_dataset
from tests.support.photos import PLACE
from tests.support.sweeps import sweep
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"


@pytest.fixture
def job(world: World) -> Job:
    return submitted(world)


@pytest.mark.parametrize(
    "trainer", sweep(TRAINERS.values(), sample=4, ids=lambda each: each.short_name)
)
def test_zip_becomes_lora_at_each_trainer(world: World, calls: Calls, trainer: Trainer) -> None:
    """A training can go on from the LoRA where the trainer can do that, and only there."""
    words = {"trainer": trainer.short_name, "trigger-phrase": "ada", "preset": "fast"}
    job = world.submit(world.drop("photos.zip", metadata=words))
    assert (job.status, job.application) == (Status.SUBMITTED, trainer.application), job.problems
    done = to_its_end(world, job)

    files = {stored.name: stored for stored in done.files}
    assert done.status is Status.SUCCEEDED
    assert set(files) == {"lora.safetensors", "config.json"}
    assert world.results.files[files["lora.safetensors"].key][8:9] == b"{"
    [post] = [row for row in calls.rows("submissions") if row["accepted"]]
    assert post["endpoint_id"] == trainer.application
    assert "ada" in post["arguments"].values()
    if trainer.resumes:
        new = world.retry_service.retry(done.job_id, resume=True, by=ADA)
        assert new.resume_from == done.job_id
    else:
        with pytest.raises(ActionNotAllowedError, match="cannot go on from a LoRA"):
            world.retry_service.retry(done.job_id, resume=True, by=ADA)


@pytest.mark.promise("never lose a result")
def test_phone_dataset_is_mended_and_trains(world: World, calls: Calls) -> None:
    """A phone's photos, as they are, become a LoRA: HEIC, a place, copies, folders, old captions."""
    world.pictures = PillowPictures()
    dropped = phone_dataset()
    done = to_its_end(world, world.submit(world.drop("portrait/phone.zip", data=dropped)))

    assert (done.status, done.images) == (Status.SUCCEEDED, PHOTOS)
    assert {"lora.safetensors", "config.json"} <= {stored.name for stored in done.files}
    [paid] = [row for row in calls.rows("submissions") if row["accepted"]]
    assert paid["request_id"] == done.request_id

    assert done.clean
    data = world.results.files[done.clean.key]
    assert PLACE not in data
    with zipfile.ZipFile(io.BytesIO(data)) as copy:
        photos = [name for name in copy.namelist() if name.endswith((".jpg", ".JPG"))]
        assert len(photos) == PHOTOS
        for name in photos:
            header = describe(WholeImage(copy.read(name)))
            assert (header.has_metadata, header.orientation, header.width) == (False, 1, 480)
        assert copy.read("IMG_0000.txt").decode() == "[trigger] f\u00fcr Zo\u00eb \u2013 0"

    report = json.loads(world.results.text(done, "report.json") or "")
    assert (report["verdict"], report["mended"], report["images"]) == ("accepted", True, PHOTOS)
    assert {change["code"] for change in report["changes"]} == {
        *("image_converted", "image_turned", "image_metadata_removed", "image_exact_duplicate"),
        *("dataset_flattened", "dataset_junk_dropped", "caption_encoding"),
    }
    left_out = {photo["member"] for photo in report["photos"] if photo["fate"] == "dropped"}
    assert left_out == {"Camera/IMG_0001 (1).HEIC", "Camera/copy.HEIC"}
    [original] = world.datasets.objects["portrait/phone.zip"]
    assert original.data == dropped


@contextmanager
def unchanged(world: World) -> Iterator[None]:
    """Neither a job, nor a file of one, nor a queue changes."""
    before = dict(world.jobs.rows), dict(world.results.files), list(world.queue.handed)
    yield
    assert (world.jobs.rows, world.results.files, world.queue.handed) == before


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("fault", "says"), [("webhook_forged", "no key"), ("webhook_foreign_user", "another user")]
)
def test_false_delivery_changes_nothing(
    world: World, calls: Calls, receiver: Receiver, fault: str, says: str
) -> None:
    """A forged webhook changes nothing, and the true one after it ends the training."""
    calls.inject(fault)
    job = submitted(world)
    false, true = receiver.next(), receiver.next()
    with unchanged(world), pytest.raises(InvalidWebhookError, match=says):
        deliver(world, job, false)
    assert world.status_check.asked == []
    assert deliver(world, job, true).status is Status.STORING


@pytest.mark.promise("never get stuck")
def test_late_delivery_only_asks_fal(world: World, job: Job, receiver: Receiver) -> None:
    """A delivery of an hour ago changes nothing itself: fal is asked for the job's own request."""
    true = receiver.next()
    world.clock.now += timedelta(hours=1)
    with unchanged(world), pytest.raises(StaleWebhookError):
        deliver(world, job, true)
    assert world.status_check.asked == [job.job_id]
    assert world.reconciler.request_status_check(job.job_id).status is Status.STORING


def test_ended_job_ignores_repeated_deliveries(
    world: World, calls: Calls, job: Job, receiver: Receiver
) -> None:
    true = receiver.next()
    done = to_its_end(world, job)
    calls.sim.redeliver(job.request_id or "")
    with unchanged(world):
        assert [deliver(world, job, each) for each in (true, receiver.next())] == [done, done]
    assert world.status_check.asked == []


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("times", [1, 3])
def test_early_result_loses_nothing(world: World, calls: Calls, times: int) -> None:
    """A result that fal answers with 202, as if it were not there yet, is asked for until it is."""
    calls.inject("webhook_lost")
    calls.inject("result_early", times=times)
    job = submitted(world)
    calls.ended(job.request_id or "")
    for _ in range(times):
        with suppress(FalUnavailableError):
            job = world.reconciler.request_status_check(job.job_id)
        assert world.jobs.rows[job.job_id].status is Status.SUBMITTED
    assert world.reconciler.request_status_check(job.job_id).status is Status.STORING


@pytest.mark.promise("never pay twice")
def test_status_proves_nothing_about_money(world: World, calls: Calls) -> None:
    """A state that names 0 billed units takes no training out of the books and sends none again."""
    calls.inject("webhook_lost")
    calls.inject("status_names_units", times=None)
    calls.inject("training_error", type="file_download_error", units_told=False)
    job = submitted(world)
    calls.ended(job.request_id or "")
    ended = world.reconciler.request_status_check(job.job_id)
    assert ended.status is Status.HELD  # a person decides whether it is paid for once more
    assert [charge.state for charge in ended.charges] == [ChargeState.WASTED]
    assert len(calls.sim.ledger()["submissions"]) == 1


@pytest.mark.promise("never lose a result")
def test_listed_output_is_stored(world: World, calls: Calls, clock: Clock) -> None:
    """A result that fal's queue has forgotten is taken from its list before a job ends as EXPIRED."""
    calls.inject("webhook_lost")
    job = submitted(world)
    calls.ended(job.request_id or "")
    clock.add(3700)  # fal keeps a result for an hour
    for _ in range(2):
        world.clock.now += timedelta(minutes=6)
        world.reconciler.reconcile()
    assert world.job(job.job_id).status is Status.STORING
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


PAGES = {
    429: (Status.READY, "takes no more requests"),
    403: (Status.SUBMIT_UNKNOWN, "gateway answered 403"),
    503: (Status.SUBMIT_UNKNOWN, "gateway answered 503"),
    302: (Status.SUBMIT_UNKNOWN, "answered 302"),
}


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("code", PAGES)
def test_page_at_the_post_stops_no_other_job(world: World, calls: Calls, code: int) -> None:
    """A gateway's page instead of a receipt is named in the job, and its slot is free again after hours at most."""
    status, sentence = PAGES[code]
    world.limits = replace(world.limits, max_in_flight=1)
    calls.inject("submit_status", status=code, form="nginx")
    first = world.submit(world.drop("portrait/a.zip"))
    assert (first.status, sentence in first.problems[0].message) == (status, True)
    second = world.submit(world.drop("portrait/b.zip", images=11))
    for _ in range(2):
        world.clock.now += timedelta(hours=4)
        world.reconciler.reconcile()
        world.work()
    sent = world.job(first.job_id if code == 429 else second.job_id)
    assert [each["request_id"] for each in calls.sim.requests()] == [sent.request_id]


def test_what_fal_never_began_costs_nothing(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    """A training that was cancelled while it waited in fal's queue is not booked as wasted."""
    calls = simulate(max_in_progress=1, training_seconds=30)
    point_fal_client(calls.sim)
    world = world_at(calls, "https://127.0.0.1:9/hook")
    world.clock.now = datetime.now(UTC)
    world.submit(world.drop("portrait/a.zip"))
    waiting = world.submit(world.drop("portrait/b.zip", images=11))
    world.manual_actions.cancel(waiting.job_id, by=ADA)

    def ended() -> Job | None:
        job = world.reconciler.request_status_check(waiting.job_id)
        return job if job.terminal else None

    job = until(ended)
    assert job
    assert job.status is Status.CANCELLED
    assert [charge.state for charge in job.charges] == [ChargeState.FREE]


@pytest.mark.promise("never lose a result")
def test_slow_file_without_ranges_is_stored(world: World, calls: Calls) -> None:
    """A CDN without ranges may take longer for a file than one run by ranges has."""
    calls.inject("download_whole", times=None, bytes_per_second=400_000)
    job = submitted(world)
    brief = replace(world.result_storer, patience=timedelta(seconds=0.05))
    calls.ended(job.request_id or "")
    status = world.fal.ask(job.application, job.request_id or "")
    world.fal_updates.receive(job.job_id, status)
    assert brief.store_result(job.job_id).status is Status.SUCCEEDED
