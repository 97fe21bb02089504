"""Nothing that leads outside escapes the hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from lora_drop.jobs.artifacts import Artifact
from tests.resilience.faults.effects import PORTS, Effect, Wired, is_port, wire
from tests.support.builders import ARTIFACTS, make_dataset
from tests.support.memory import ManualClock, MemoryDatasets
from tests.support.memory_files import MemoryRange
from tests.support.world import World


@dataclass
class Counting:
    """A hand that only counts."""

    seen: list[str] = field(default_factory=list)

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        self.seen.append(f"{effect.port}.{effect.method}")
        return call()


@dataclass
class Streams:
    """What reads byte by byte."""

    @contextmanager
    def open(self, artifact: Artifact, **_: Any) -> Iterator[Iterator[bytes]]:
        assert artifact.url
        yield iter([b"one", b"two"])


def test_every_field_of_a_world_that_leads_outside_is_wired() -> None:
    world, hand = World(), Counting()

    before = wire(world, hand)

    assert set(before) >= {"jobs", "datasets", "results", "source", "fal", "queue", "keys"}
    assert isinstance(world.jobs, Wired)
    assert world.webhook_secret() == before["webhook_secret"]()
    assert hand.seen == ["Secret.webhook_secret"]
    assert isinstance(world.clock, ManualClock), "the time is nobody's effect"


def test_what_a_call_gives_back_is_wired_where_it_leads_outside_again() -> None:
    hand, datasets = Counting(), MemoryDatasets()
    dataset = datasets.put("ada.zip", b"0123456789")

    found = Wired(datasets, hand).open(dataset)

    assert found.archive.read(2, 3) == b"234"
    assert found.archive.size == 10
    assert hand.seen == ["DatasetStore.open", "RangedReader.read"]


def test_a_stream_is_an_effect_for_each_thing_and_for_its_end() -> None:
    hand = Counting()

    with Wired(Streams(), hand, name="Stream").open(ARTIFACTS[0]) as chunks:
        assert list(chunks) == [b"one", b"two"]

    assert hand.seen == ["Stream.open", "Stream.open.enter", *["Stream.open.enter.next"] * 3]


@pytest.mark.parametrize("value", [None, 1, "text", b"", make_dataset(), ManualClock()])
def test_what_does_not_lead_outside_is_left_alone(value: object) -> None:
    assert not is_port(value)


def test_what_is_read_by_ranges_is_a_port_of_its_own() -> None:
    assert is_port(MemoryRange(b""))
    assert "Clock" not in PORTS
    assert PORTS["Inbox"] == {"announce"}


def test_an_effect_says_what_it_was_about() -> None:
    assert str(Effect("Inbox", "announce", (make_dataset(),))) == "Inbox.announce ada.zip"
    assert str(Effect("JobStore", "get", ("a/b/ada-1",))) == "JobStore.get ada-1"
