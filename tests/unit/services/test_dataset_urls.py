"""A dataset gets to fal in one of three ways; its address is new at every try, and proves a request."""

from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Running
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.delivery import (
    MAX_INLINE,
    DatasetDelivery,
    DeliveryMethod,
    data_uri,
    fingerprint,
)
from lora_drop.jobs.errors import NotSubmittedError, SubmissionUnknownError
from lora_drop.jobs.evidence import is_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import FAL_UNREACHABLE
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import NOW, make_archive, make_jpeg, with_exif
from tests.support.outcome import Killed
from tests.support.queue import later
from tests.support.world import LATE_AFTER, World

ARCHIVE = make_archive()
HOUR = timedelta(hours=1)


def sent_url(world: World) -> str:
    url: str = world.fal.posts[-1][1]["images_data_url"]
    return url


@pytest.fixture(params=DeliveryMethod)
def way(request: pytest.FixtureRequest) -> DeliveryMethod:
    found: DeliveryMethod = request.param
    return found


def address_of(world: World, job: Job, way: DeliveryMethod) -> str:
    match way:
        case DeliveryMethod.PRESIGNED:
            return world.datasets.url(job.dataset)
        case DeliveryMethod.FAL:
            return list(world.storage.files)[-1]
        case DeliveryMethod.DATA:
            return data_uri(ARCHIVE)


@pytest.mark.promise(
    "interfaces stay",
    "fal gets the address of the stack's delivery method, and the job keeps its end.",
)
@pytest.mark.promise("nothing leaks", "The address of the photos is not published with the job.")
def test_dataset_goes_the_stacks_way(way: DeliveryMethod) -> None:
    world = World(way=way)
    job = world.submit(world.drop(data=ARCHIVE))
    assert job.status is Status.SUBMITTED
    url = address_of(world, job, way)
    assert sent_url(world) == url
    assert job.delivery == DatasetDelivery(
        way=way,
        sha256=fingerprint(url),
        expires_at=None if way is DeliveryMethod.DATA else NOW + HOUR,
        url=url if way is DeliveryMethod.FAL else None,
    )
    assert url not in (world.results.text(job, "status.json") or "")
    published = public(job)["delivery"]
    assert (published["way"], "url" in published, "sha256" in published) == (way, False, False)


def test_upload_is_the_exact_dataset() -> None:
    """The upload is the dataset byte for byte, kept for as long as the stack says."""
    world = World(way=DeliveryMethod.FAL)
    job = world.submit(world.drop("portrait/Ada Lovelace.zip", data=ARCHIVE))
    assert world.storage.files == {sent_url(world): ARCHIVE}
    assert world.storage.seconds == [3600]
    # fal learns nothing from the name.
    assert sent_url(world).endswith(f"/{job.job_id}.zip")


@pytest.mark.parametrize("way", [DeliveryMethod.FAL, DeliveryMethod.DATA])
def test_mended_dataset_is_sent_clean(way: DeliveryMethod) -> None:
    world = World(way=way)
    members = {"place.jpg": with_exif(99)}
    job = world.submit(world.drop(data=make_archive(members=members)))
    assert job.clean
    copy = world.results.files[job.clean.key]
    url = sent_url(world)
    assert copy == world.storage.files[url] if way is DeliveryMethod.FAL else url == data_uri(copy)


def test_large_dataset_goes_by_presigned_url() -> None:
    world = World(way=DeliveryMethod.DATA)
    photo = make_jpeg(99)
    members = {"large.jpg": photo[:-2] + bytes(MAX_INLINE) + photo[-2:]}
    job = world.submit(world.drop(data=make_archive(members=members, compression=0)))
    assert job.delivery
    assert job.delivery.way is DeliveryMethod.PRESIGNED
    assert sent_url(world).startswith("https://")


def test_nothing_is_uploaded_without_a_slot() -> None:
    world = World(way=DeliveryMethod.FAL, limits=Limits(1))
    world.submit(world.drop("a.zip", images=12))
    second = world.submit(world.drop("b.zip", images=13))
    assert second.status is Status.READY
    assert len(world.storage.files) == 1


@pytest.mark.promise("never get stuck")
def test_unreachable_storage_costs_nothing() -> None:
    """A storage that cannot be reached costs nothing and is tried again."""
    world = World(way=DeliveryMethod.FAL)
    world.storage.refuses = NotSubmittedError("no connection")
    job = world.submit(world.drop(data=ARCHIVE))
    assert (job.status, job.problems, job.intents) == (Status.READY, (FAL_UNREACHABLE,), 0)
    assert world.fal.posts == []
    world.storage.refuses = None
    world.dispatcher.submit_waiting()
    done = world.job(job.job_id)
    assert (done.status, done.problems) == (Status.SUBMITTED, ())


def test_every_try_has_a_new_address() -> None:
    world = World(way=DeliveryMethod.FAL)
    world.answer(NotSubmittedError("no connection"))
    job = world.submit(world.drop(data=ARCHIVE))
    assert job.status is Status.READY
    world.answer(lambda: Submission("r1"))
    later(world, after=HOUR)
    job = world.job(job.job_id)
    assert job.delivery
    assert job.delivery.expires_at == NOW + 2 * HOUR
    assert sent_url(world) == list(world.storage.files)[1] == job.delivery.url


@pytest.mark.promise("never pay twice")
def test_death_after_upload_pays_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that dies after the upload uploads again and pays once."""
    world = World(way=DeliveryMethod.FAL)
    dataset = world.drop(data=ARCHIVE)
    kept = world.jobs.replace

    def dies_at_the_intent(before: Job, after: Job, **more: Any) -> None:
        if after.status is Status.SUBMITTING:
            raise Killed
        kept(before, after, **more)

    with monkeypatch.context() as patched:
        patched.setattr(world.jobs, "replace", dies_at_the_intent)
        with pytest.raises(Killed):
            world.submit(dataset)
    assert (len(world.storage.files), world.fal.posts) == (1, [])
    job = world.submit(dataset)

    assert job.status is Status.SUBMITTED
    assert (len(world.storage.files), len(world.fal.posts)) == (2, 1)


@pytest.mark.promise("never lose a result")
def test_lost_request_is_adopted(way: DeliveryMethod) -> None:
    """A lost request is adopted whatever way it went."""
    world = World(way=way)
    world.answer(SubmissionUnknownError("no answer"))
    job = world.submit(world.drop(data=ARCHIVE))
    url = address_of(world, job, way)
    ours = url if way is not DeliveryMethod.PRESIGNED else f"https://s3.example/datasets/{url[25:]}"
    another = world.datasets.url(job.dataset.model_copy(update={"version_id": "v9"}))
    elsewhere = [data_uri(b"PK"), "https://v3.fal.media/files/a/b.zip", another]
    assert [is_of(job, each) for each in (ours, *elsewhere)] == [True, False, False, False]
    world.fal.known = ["r1"]
    world.fal.facts["r1"] = Running("r1", started=True)
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    found = world.job(job.job_id)
    assert (found.status, found.request_id) == (Status.TRAINING, "r1")


@pytest.mark.parametrize("theirs", [Status.SUBMITTED, Status.SUBMIT_UNKNOWN])
def test_request_of_identical_bytes_stays_open(theirs: Status) -> None:
    world = World(way=DeliveryMethod.DATA)
    world.answer(SubmissionUnknownError("no answer"))
    other = world.submit(world.drop("other.zip", data=ARCHIVE))
    if theirs is Status.SUBMITTED:
        world.record.move(world.job(other.job_id), Status.SUBMITTED, request_id="r1")
    job = world.submit(world.drop(data=ARCHIVE, metadata={"force": "true"}))
    assert job.status is Status.SUBMIT_UNKNOWN
    world.fal.known = ["r1"]
    world.fal.facts["r1"] = Running("r1", started=True)
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()

    found = world.job(job.job_id)
    assert (found.status, found.request_id) == (Status.SUBMIT_UNKNOWN, None)
