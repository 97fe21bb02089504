"""What people decide about the pictures of a proof sheet: they are cancelled, not retried, and forgotten with their training."""

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.errors import ActionNotAllowedError, JobForgottenError
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, LOCKED
from tests.support.proofs import make_all, pictures, sent, trained
from tests.support.world import World


@pytest.fixture
def world() -> World:
    return World()


def test_waiting_picture_can_be_cancelled(world: World) -> None:
    training = trained(world)
    for each in pictures(world, training):
        cancelled = world.manual_actions.cancel(each.job_id, by=ADA)
        assert cancelled.status is Status.CANCELLED
        assert "lora-drop retry" not in cancelled.problems[0].message
    world.work()
    assert not world.job(training.job_id).proof_open
    assert len(world.fal.posts) == 1


def test_picture_is_not_retried(world: World) -> None:
    """A picture is made once: to retry it is refused, with a sentence."""
    first = sent(world)[0]
    world.fal_updates.receive(first.job_id, Failed(first.request_id or "", LOCKED))
    with pytest.raises(ActionNotAllowedError, match="is made once"):
        world.retry_service.retry(first.job_id, resume=False, by=ADA)
    assert "retry" not in (world.results.text(world.job(first.job_id), "ERROR.txt") or "")


def test_unfetched_lora_goes_once_more(world: World) -> None:
    """A LoRA that fal could not download is sent once more with a fresh address, since nothing was billed."""
    first = sent(world)[0]
    problem = LOCKED.model_copy(update={"code": "fal_file_download_error"})
    world.fal_updates.receive(
        first.job_id, Failed(first.request_id or "", problem, billed=False), asked=True
    )
    world.work()
    again = world.job(first.job_id)
    assert (again.status, again.intents, again.refetched) == (Status.SUBMITTED, 2, True)


@pytest.mark.promise("nothing leaks")
def test_pictures_are_forgotten_with_their_training(world: World) -> None:
    """To forget a training erases its pictures as well: rows, files, and what fal has stored of them."""
    training = make_all(world, trained(world))
    four = pictures(world, training)
    world.payloads.stored = {each.request_id or "" for each in (training, *four)}
    going = world.forget_service.look(training.job_id)
    assert [each.job_id for each in going] == [each.job_id for each in (training, *four)]
    begun = world.forget_service.forget(training.job_id)
    world.clock.now += LAST_LOOK_AFTER
    world.forget_service.go_on()

    assert len(begun) == 5
    assert world.jobs.rows == {}
    assert world.results.files == {}
    assert world.payloads.stored == set()
    assert all(each.done_at for each in world.jobs.erasures.values())
    with pytest.raises(JobForgottenError):
        world.proof_sheets.finish(training.job_id)


@pytest.mark.parametrize("missing", [False, True], ids=["at fal", "not opened yet"])
def test_unfinished_sheet_is_not_forgotten(world: World, missing: bool) -> None:  # noqa: FBT001
    """While a picture is at fal, waits, or is still to be opened, its training is not forgotten."""
    training = trained(world)
    if missing:
        del world.jobs.rows[pictures(world, training)[-1].job_id]
        for each in list(world.jobs.rows.values()):
            if each.picture:
                world.manual_actions.cancel(each.job_id, by=ADA)
    else:
        world.work()
    with pytest.raises(ActionNotAllowedError):
        world.forget_service.forget(training.job_id)
    assert world.jobs.erasures == {}


def test_picture_is_not_forgotten_alone(world: World) -> None:
    training = make_all(world, trained(world))
    with pytest.raises(ActionNotAllowedError, match=f"lora-drop forget {training.job_id}"):
        world.forget_service.forget(pictures(world, training)[0].job_id)


def test_interrupted_forgetting_keeps_the_dataset(world: World) -> None:
    """Where a forgetting dies between a picture and its training, the dataset stays with the training."""
    training = make_all(world, trained(world))
    first = pictures(world, training)[0]
    service = world.forget_service
    service._begin(first, (training, first), ordered_with=training.job_id[-10:])
    service.go_on()
    assert training.dataset.key in world.datasets.objects
    assert world.results.files[f"{training.prefix}lora.safetensors"]
    assert not any(key.startswith(first.prefix) for key in world.results.files)
    assert len(service.forget(training.job_id)) == 5
