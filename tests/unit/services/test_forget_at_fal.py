"""What fal has of a forgotten job is deleted there, or it is said that it is kept."""

from datetime import timedelta

import pytest

from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod
from lora_drop.jobs.erasures import FAL_KEEPS, UNANSWERED, public
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.status import Status
from lora_drop.ports import PayloadsErased
from tests.support.builders import NOW, make_job
from tests.support.forgetting import forget, left_of, trained
from tests.support.world import World

# ------------------------------------------------------------------------------ fal


def test_every_request_of_the_job_is_deleted_at_fal(world: World) -> None:
    job = world.holds(
        make_job(Status.FAILED, request_id="r-3", earlier_requests=("r-1", "r-2"), own_requests=())
    )

    [proof] = forget(world, job)

    assert world.payloads.asked == ["r-1", "r-2", "r-3"]
    assert proof.fal_requests == 3


def test_what_fal_keeps_is_said_once(world: World) -> None:
    job = world.holds(make_job(Status.FAILED, request_id="r-2", earlier_requests=("r-1",)))
    for request_id in ("r-1", "r-2"):
        world.payloads.says[request_id] = PayloadsErased(left=("fal keeps it",))

    [proof] = forget(world, job)

    assert (proof.left, proof.fal_files) == (("fal keeps it",), 0)
    assert public(proof)["left"] == ["fal keeps it"]


def test_a_fal_that_does_not_answer_keeps_nothing_of_ours_and_is_asked_again(world: World) -> None:
    job = trained(world)
    world.payloads.says[job.request_id or ""] = FalUnavailableError("503")

    for _ in range(3):
        with pytest.raises(FalUnavailableError):
            world.forget_service.go_on() if world.jobs.erasures else world.forget_service.forget(
                job.job_id
            )
    assert not world.results.files
    world.payloads.says.clear()
    [proof] = forget(world, job)

    assert (proof.done_at, proof.fal_files) == (world.clock.now, 2)


def test_a_fal_that_never_answers_does_not_make_us_keep_a_name_for_ever(world: World) -> None:
    job = trained(world)
    world.payloads.says[job.request_id or ""] = FalUnavailableError("503")
    with pytest.raises(FalUnavailableError):
        world.forget_service.forget(job.job_id)

    world.clock.now += FAL_KEEPS
    [proof] = world.forget_service.go_on()

    assert (proof.done_at, proof.left) == (world.clock.now, (UNANSWERED,))
    assert left_of(world, "ada") == []


@pytest.mark.parametrize(
    ("way", "hours", "said"),
    [
        (DeliveryMethod.FAL, 2, 1),
        (DeliveryMethod.FAL, -1, 0),
        (DeliveryMethod.PRESIGNED, 2, 0),
        (DeliveryMethod.DATA, None, 0),
    ],
)
def test_a_dataset_in_fals_storage_is_said_to_be_there_while_it_is(
    world: World, way: DeliveryMethod, hours: int | None, said: int
) -> None:
    until = None if hours is None else NOW + timedelta(hours=hours)
    delivery = DatasetDelivery(
        way=way, sha256="0", expires_at=until, url="https://v3.fal.media/ada.zip"
    )

    [proof] = forget(world, world.holds(make_job(Status.FAILED, delivery=delivery)))

    assert len(proof.left) == said
    assert all("2026-11-24 14:00" in each for each in proof.left)
    assert "ada" not in proof.model_dump_json()
