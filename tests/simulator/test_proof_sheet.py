"""A proof sheet goes through our own services and the real fal_client to its stored pictures, paid for once each."""

import io

import pytest
from PIL import Image

from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.simulator.image_inputs import FLUX_LORA
from tests.simulator.fal_calls import Calls, Receiver
from tests.simulator.pipeline import deliver, to_its_end
from tests.support.world import World


def trained(world: World) -> Job:
    """A training that has succeeded, with its pictures ordered."""
    job = world.submit(world.drop("portrait/ada.zip", metadata={"proof": "true"}))
    assert job.status is Status.SUBMITTED, job.problems
    return to_its_end(world, job)


def pictures_of(world: World, job: Job) -> list[Job]:
    """The pictures once all of them have ended, a slot after the other."""
    parent = world.jobs.get(job.job_id)
    assert parent
    assert parent.proof
    for _ in parent.proof.pictures:
        world.dispatcher.submit_waiting(began=world.clock())
        for picture_id in parent.proof.pictures:
            picture = world.jobs.get(picture_id)
            if picture and picture.status is Status.SUBMITTED:
                to_its_end(world, picture)
    found = [world.jobs.get(each) for each in parent.proof.pictures]
    return [each for each in found if each]


def paid(calls: Calls) -> list[str]:
    return [row["endpoint_id"] for row in calls.rows("billed")]


@pytest.mark.promise("never pay twice")
def test_proof_sheet_is_made_at_fal(world: World, calls: Calls) -> None:
    """Each picture is made with the new LoRA, paid once, stored whole and in the size that was ordered."""
    job = trained(world)
    pictures = pictures_of(world, job)

    assert {each.status for each in pictures} == {Status.SUCCEEDED}, [
        (each.status, each.problems) for each in pictures
    ]
    assert paid(calls) == [job.application, *[FLUX_LORA] * len(pictures)]
    weights = next(file for file in job.files if file.name == "lora.safetensors")
    assert {row["sha256"] for row in calls.rows("loras")} == {weights.sha256}
    for picture in pictures:
        [file] = picture.files
        assert picture.picture
        shown = Image.open(io.BytesIO(world.results.files[file.key]))
        assert shown.size == (picture.picture.width, picture.picture.height)
    assert len({picture.files[0].sha256 for picture in pictures}) == len(pictures)


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("fault", ["submit_answer_lost", "submit_empty"])
def test_lost_answer_of_a_picture(
    world: World, calls: Calls, receiver: Receiver, fault: str
) -> None:
    """A picture whose answer was lost is not ordered again: fal's webhook brings it."""
    calls.inject(fault, endpoint_id=FLUX_LORA)
    job = trained(world)
    unknown, *others = pictures_of(world, job)
    assert unknown.status is Status.SUBMIT_UNKNOWN
    first, *rest = [row for row in calls.rows("submissions") if row["endpoint_id"] == FLUX_LORA]
    webhook = receiver.next()
    while webhook.headers["x-fal-webhook-request-id"] != first["request_id"]:
        webhook = receiver.next()
    deliver(world, unknown, webhook)
    found = world.result_storer.store_result(unknown.job_id)
    assert (found.status, found.request_id) == (Status.SUCCEEDED, first["request_id"])
    assert len(rest) == len(others)
    assert paid(calls) == [job.application, *[FLUX_LORA] * (1 + len(others))]
