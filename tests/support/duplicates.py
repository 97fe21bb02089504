"""The same photos dropped twice, as two people would call them."""

from typing import Any

from lora_drop.jobs.job import Job
from tests.support.builders import make_jpeg
from tests.support.world import World

PHOTOS = {f"{number:02}.jpg": make_jpeg(number) for number in range(12)}
RENAMED = {f"IMG_{name}": data for name, data in reversed(PHOTOS.items())}


def first(world: World, **how: Any) -> Job:
    """The dataset that comes first, submitted."""
    return world.submit(world.drop("portrait/ada.zip", images=0, members=PHOTOS, **how))


def again(world: World, key: str = "portrait/copy.zip", **how: Any) -> Job:
    """The same photos once more, under other names and in another order."""
    return world.submit(world.drop(key, images=0, members=RENAMED, **how))
