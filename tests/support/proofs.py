"""A training with its LoRA and a proof sheet that was ordered, and fal's answers to the pictures of it."""

from itertools import count

from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.world import World

PROOF = {"proof": "true"}
PICTURES = 4


def numbered_requests(world: World) -> None:
    """Let fal give each request an id of its own."""
    numbers = count(1)
    world.fal.outcome = lambda: Submission(f"request-{next(numbers)}")


def trained(world: World, **metadata: str) -> Job:
    """A training that has its LoRA; its pictures wait, and no message has been handled yet."""
    numbered_requests(world)
    sent = world.submit(world.drop(metadata={**PROOF, **metadata}))
    assert sent.status is Status.SUBMITTED, sent.problems
    done = world.train(sent)
    assert done.status is Status.SUCCEEDED
    return world.job(done.job_id)


def pictures(world: World, training: Job) -> list[Job]:
    """The pictures of its sheet as they stand, by their numbers."""
    sheet = world.job(training.job_id).proof
    return [world.job(each) for each in (sheet.pictures if sheet else ())]


def sent(world: World, **metadata: str) -> list[Job]:
    """The pictures of a training, the first two of which are at fal."""
    training = trained(world, **metadata)
    world.work()
    return pictures(world, training)


def picture_of(request_id: str, **changes: object) -> Finished:
    """What fal says of a picture that is made."""
    usual = {"name": "picture.jpg", "url": f"https://v3.fal.media/files/{request_id}/one.jpeg"}
    return Finished(request_id, (Artifact.model_validate({**usual, **changes}),))


def make(world: World, picture: Job, **changes: object) -> Job:
    """fal makes this picture, calls back, and it is stored."""
    request_id = world.job(picture.job_id).request_id
    assert request_id
    world.fal_updates.receive(picture.job_id, picture_of(request_id, **changes))
    return world.result_storer.store_result(picture.job_id)


def make_all(world: World, training: Job) -> Job:
    """Send and make every picture that waits; return the training at the end."""
    world.work()
    while at_fal := [each for each in pictures(world, training) if each.status is Status.SUBMITTED]:
        for each in at_fal:
            make(world, each)
        world.work()
    return world.job(training.job_id)
