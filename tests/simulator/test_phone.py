"""A phone's photos, as they are, become a LoRA: HEIC, a place, copies, folders, old captions."""

import io
import json
import zipfile

import pytest

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.status import Status
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import PointFalClient
from tests.simulator.fal_calls import Calls
from tests.simulator.pipeline import to_its_end, world_at
from tests.simulator.receiver import Receiver
from tests.support.phone import PHOTOS, phone_dataset
from tests.support.photos import PLACE
from tests.support.world import World


@pytest.fixture
def world(
    sim: ControlClient, calls: Calls, receiver: Receiver, point_fal_client: PointFalClient
) -> World:
    point_fal_client(sim)
    return world_at(sim, calls, f"{receiver.url}/hook", pictures=PillowPictures())


def test_a_phones_dataset_is_mended_and_trains(world: World, sim: ControlClient) -> None:
    dropped = phone_dataset()
    dataset = world.drop("portrait/phone.zip", data=dropped)

    job = world.submit(dataset)
    done = to_its_end(world, job)

    assert done.status is Status.SUCCEEDED
    assert done.images == PHOTOS
    assert {"lora.safetensors", "config.json"} <= {stored.name for stored in done.files}
    [paid] = [row for row in sim.ledger()["submissions"] if row["accepted"]]
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

    told = json.loads(world.results.text(done, "report.json") or "")
    assert (told["verdict"], told["mended"], told["images"]) == ("accepted", True, PHOTOS)
    assert {change["code"] for change in told["changes"]} == {
        *("image_converted", "image_turned", "image_metadata_removed", "image_exact_duplicate"),
        *("dataset_flattened", "dataset_junk_dropped", "caption_encoding"),
    }
    left_out = {photo["member"] for photo in told["photos"] if photo["fate"] == "dropped"}
    assert left_out == {"Camera/IMG_0001 (1).HEIC", "Camera/copy.HEIC"}
    [original] = world.datasets.objects["portrait/phone.zip"]
    assert original.data == dropped
