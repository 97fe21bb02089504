"""The pictures of a proof sheet are paid, made and stored by the real fal_client and the simulator's fal-ai/flux-lora."""

import pytest

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.status import Status
from tests.simulator.fal_calls import Calls
from tests.simulator.pipeline import to_its_end
from tests.support.proofs import PICTURES, PROOF, pictures
from tests.support.world import World


@pytest.mark.promise("never pay twice")
def test_proof_sheet_is_made_with_the_lora(world: World, calls: Calls) -> None:
    """Each picture is one POST with the LoRA that was trained, and its stored file is what fal served."""
    training = to_its_end(
        world, world.submit(world.drop(metadata={**PROOF, "trigger-phrase": "ada"}))
    )
    world.work()
    while at_fal := [each for each in pictures(world, training) if each.status is Status.SUBMITTED]:
        for each in at_fal:
            assert to_its_end(world, each).status is Status.SUCCEEDED
        world.work()

    done, four = world.job(training.job_id), pictures(world, training)
    assert len(four) == PICTURES
    assert not done.proof_open
    paid = [row for row in calls.rows("submissions") if row["accepted"]]
    assert [row["endpoint_id"] for row in paid] == [
        training.application,
        *["fal-ai/flux-lora"] * PICTURES,
    ]
    assert [row["request_id"] for row in paid[1:]] == [each.request_id for each in four]
    assert all("ada" in row["arguments"]["prompt"] for row in paid[1:])
    for each in four:
        [stored] = each.files
        header = describe(WholeImage(world.results.files[stored.key]))
        assert (
            stored.key == f"{done.prefix}proof/{each.picture and each.picture.number}/picture.jpg"
        )
        assert (header.width, header.height) == (768, 1024)
