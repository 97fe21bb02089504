"""A picture of a proof sheet is sent, awaited, stored, decided on and forgotten like a training, where it differs."""

import json

import pytest

from lora_drop.fal.status import Finished, finished
from lora_drop.jobs.artifacts import artifacts_in
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    ConflictError,
    DownloadInterruptedError,
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.evidence import with_pictures
from lora_drop.services.picture_check import OTHER_SIZE, ROUNDED
from tests.support.builders import ADA, ARTIFACTS, LOCKED, make_jpeg, make_png, make_webp
from tests.support.proofs import make, picture_of, pictures, sent, trained
from tests.support.queue import codes
from tests.support.world import LATE_AFTER, World

WHOLE = make_jpeg(width=768)
RESULT = {
    "images": [
        {
            "url": "https://v3.fal.media/files/a/one.jpeg",
            "width": 768,
            "height": 1024,
            "content_type": "image/jpeg",
        }
    ],
    "timings": {"inference": 2.1},
    "seed": 2**64 - 1,
    "has_nsfw_concepts": [False],
    "prompt": "a photo of ada",
}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.promise("interfaces stay")
def test_request_is_exactly_this(world: World) -> None:
    """A picture's request names the LoRA by a signed address, its prompt, its size and its seed."""
    first = sent(world, **{"trigger-phrase": "ada"})[0]
    application, arguments, webhook_url = world.fal.posts[1]
    assert application == first.application == "fal-ai/flux-lora"
    assert arguments == {
        "prompt": "a close-up portrait photo of ada, looking into the camera, soft daylight, plain background",
        "loras": [
            {
                "path": f"https://models.example/{parent_of(world, first).prefix}lora.safetensors",
                "scale": 1,
            }
        ],
        "image_size": {"width": 768, "height": 1024},
        "seed": 11,
        "num_images": 1,
        "output_format": "jpeg",
        "enable_safety_checker": True,
    }
    assert webhook_url.endswith(f"/webhooks/fal/{first.job_id}/{world.token(first.job_id)}")


def parent_of(world: World, picture: Job) -> Job:
    assert picture.picture
    return world.job(picture.picture.proof_of)


@pytest.mark.promise("never lose a result")
def test_picture_lies_beside_its_lora(world: World) -> None:
    """A picture is stored with its hash in the folder of the sheet, without a report and without a job.json."""
    first = sent(world)[0]
    done = make(world, first)
    folder = f"{parent_of(world, first).prefix}proof/1/"
    assert (done.status, done.problems) == (Status.SUCCEEDED, ())
    assert [each.key for each in done.files] == [f"{folder}picture.jpg"]
    there = {key.removeprefix(folder) for key in world.results.files if key.startswith(folder)}
    assert there == {"picture.jpg", "status.json"}


def test_no_more_than_the_slots(world: World) -> None:
    """Pictures take the stack's slots, and each that ends calls the next."""
    four = sent(world)
    assert [each.status for each in four] == [Status.SUBMITTED] * 2 + [Status.READY] * 2
    make(world, four[0])
    world.work()
    assert [world.job(each.job_id).status for each in four] == [
        *(Status.SUCCEEDED, Status.SUBMITTED, Status.SUBMITTED, Status.READY),
    ]


@pytest.mark.promise("it can be operated")
def test_over_budget_is_held(world: World) -> None:
    """Pictures cost the month's money: what does not fit is held, and goes on when a person approves."""
    world.limits = Limits(4, monthly_usd=3.60 + 2 * 0.035, job_usd=25.0)
    four = sent(world)
    held = [each for each in four if each.status is Status.HELD]
    assert [codes(each) for each in held] == [["budget_exhausted"]] * 2
    assert "Picture 3 of the proof sheet" in (world.results.text(held[0], "ERROR.txt") or "")
    world.manual_actions.approve(held[0].job_id, by=ADA)
    world.work()
    assert world.job(held[0].job_id).status is Status.SUBMITTED
    assert world.job(held[1].job_id).status is Status.HELD


def test_dearer_than_a_job_is_held(world: World) -> None:
    training = trained(world)
    world.limits = Limits(2, monthly_usd=100.0, job_usd=0.01)
    world.work()
    assert {codes(each)[0] for each in pictures(world, training)} == {"job_over_limit"}
    assert len(world.fal.posts) == 1


@pytest.mark.parametrize("gone", ["file", "row"])
def test_no_picture_of_a_missing_lora(world: World, gone: str) -> None:
    """A LoRA that is no longer there costs nothing: the sheet ends without pictures."""
    training = trained(world)
    if gone == "row":
        del world.jobs.rows[training.job_id]
    else:
        world.results.remove(f"{training.prefix}lora.safetensors")
    world.queue.proofs.clear()
    world.dispatcher.submit_waiting()
    four = [job for job in world.jobs.rows.values() if job.picture]
    assert {(each.status, *codes(each)) for each in four} == {(Status.CANCELLED, "lora_missing")}
    assert len(world.fal.posts) == 1


@pytest.mark.promise("never pay twice")
def test_forgotten_training_pays_no_picture(world: World) -> None:
    """No picture is paid for once its training is another than was read, as when it is forgotten."""
    training = trained(world)
    weights = world.results.has

    def changes_meanwhile(stored: object) -> bool:
        world.holds(training.model_copy(update={"version": training.version + 1}))
        return weights(stored)  # type: ignore[arg-type]

    world.results.has = changes_meanwhile  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        world.dispatcher._turn(pictures(world, training)[0], ())
    assert len(world.fal.posts) == 1


@pytest.mark.promise("never pay twice")
def test_lost_answer_is_found_by_its_input(world: World) -> None:
    """A picture whose POST was not answered is not sent again, and fal's list gives its request back."""
    training = trained(world)
    world.answer(SubmissionUnknownError("the answer was lost"))
    world.work()
    first = pictures(world, training)[0]
    assert first.status is Status.SUBMIT_UNKNOWN
    posts = len(world.fal.posts)
    world.fal.known = ["request-x"]
    world.fal.facts["request-x"] = picture_of("request-x")
    world.clock.now += LATE_AFTER
    world.reconciler.request_status_check(first.job_id)
    found = world.job(first.job_id)
    assert (found.status, found.request_id) == (Status.STORING, "request-x")
    assert len(world.fal.posts) == posts


def test_another_pictures_request_is_refused(world: World) -> None:
    """A person cannot give a picture the request of another one, though pictures are on no list."""
    training = trained(world)
    world.work()
    first, _, third, _ = pictures(world, training)
    world.holds(third.model_copy(update={"status": Status.SUBMIT_UNKNOWN}))
    with pytest.raises(ActionNotAllowedError, match=first.job_id):
        world.manual_actions.accepted(third.job_id, first.request_id or "", by=ADA)
    assert {each.job_id for each in with_pictures(world.jobs)} == set(world.jobs.rows)


def test_refused_account_holds_one(world: World) -> None:
    training = trained(world)
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    world.work()
    assert [each.status for each in pictures(world, training)] == [Status.HELD, *[Status.READY] * 3]


def test_unsent_picture_waits(world: World) -> None:
    training = trained(world)
    world.answer(NotSubmittedError("no route"))
    world.work()
    assert {each.status for each in pictures(world, training)} == {Status.READY}
    assert world.jobs.account("2026-11").reserved_usd == 0


@pytest.mark.parametrize(
    "data",
    [make_webp(), b"<html>not found</html>", make_jpeg(width=760), WHOLE[:60], b""],
    ids=["webp", "page", "other size", "cut", "empty"],
)
def test_what_is_no_picture_is_set_aside(world: World, data: bytes) -> None:
    """What is no JPEG or PNG of the size that fal says is kept aside after ten minutes, and the picture fails."""
    first = sent(world)[0]
    world.source.files["picture.jpg"] = data
    request_id = first.request_id or ""
    said = picture_of(request_id, width=768, height=1024)
    world.fal.facts[request_id] = said
    world.fal_updates.receive(first.job_id, said)
    world.clock.now += 3 * LATE_AFTER
    done = world.result_storer.store_result(first.job_id)
    assert (done.status, codes(done)) == (Status.FAILED, ["result_invalid"])
    assert [each.name for each in done.files] == ["picture.jpg.invalid"]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("width", [768 - ROUNDED, 768, 768 + ROUNDED])
def test_a_whole_picture_is_taken(world: World, width: int) -> None:
    """A picture whose sides fal has rounded is the one that was ordered."""
    first = sent(world)[0]
    world.source.files["picture.jpg"] = make_jpeg(width=width)
    assert make(world, first, width=width, height=1024).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "data",
    [
        make_png(side=16_000),
        make_jpeg(width=768 - ROUNDED - 1),
        make_jpeg(width=768 + ROUNDED + 1),
        make_jpeg(side=768, width=1024),
    ],
    ids=["huge", "narrower", "wider", "lying"],
)
def test_picture_of_another_order_is_set_aside(world: World, data: bytes) -> None:
    """A picture of another size than was ordered is not taken, also where fal says that size or none."""
    first = sent(world)[0]
    world.source.files["picture.jpg"] = data
    request_id = first.request_id or ""
    world.fal.facts[request_id] = picture_of(request_id)
    world.fal_updates.receive(first.job_id, picture_of(request_id))
    world.clock.now += 3 * LATE_AFTER
    done = world.result_storer.store_result(first.job_id)
    assert (done.status, codes(done)) == (Status.FAILED, ["result_invalid"])
    assert [each.name for each in done.files] == ["picture.jpg.invalid"]
    assert OTHER_SIZE in done.problems[0].message


def test_black_picture_is_said_so(world: World) -> None:
    """A picture that fal's safety checker made black is stored, and its job says so."""
    done = make(world, sent(world)[0], blackened=True)
    assert (done.status, codes(done)) == (Status.SUCCEEDED, ["picture_blackened"])


@pytest.mark.promise("never lose a result")
def test_result_is_read_from_fal(world: World) -> None:
    """A webhook without a result has fal asked for the picture."""
    first = sent(world)[0]
    request_id = first.request_id or ""
    world.fal.facts[request_id] = finished(request_id, RESULT)
    world.fal_updates.receive(first.job_id, Finished(request_id, ()))
    world.source.files["picture.jpg"] = make_jpeg()
    with pytest.raises(DownloadInterruptedError, match=OTHER_SIZE):
        world.result_storer.store_result(first.job_id)
    assert world.job(first.job_id).artifacts == artifacts_in(RESULT)


def test_training_takes_no_picture(world: World) -> None:
    """A training whose result has images, and a picture whose result has a LoRA, keep what they are for."""
    training = world.submit(world.drop())
    job = world.fal_updates.receive(training.job_id, finished(training.request_id or "", RESULT))
    assert (job.status, job.artifacts) == (Status.STORING, ())
    other = World()
    first = sent(other)[0]
    job = other.fal_updates.receive(first.job_id, Finished(first.request_id or "", ARTIFACTS))
    assert (job.status, job.artifacts) == (Status.STORING, ())


def test_status_names_what_a_person_finds(world: World) -> None:
    first = sent(world)[0]
    said = json.loads(world.results.text(first, "status.json") or "")
    assert (said["job_id"], said["status"]) == (first.job_id, "SUBMITTED")
