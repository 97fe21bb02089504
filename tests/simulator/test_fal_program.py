"""A program of the trainer's users runs as it is: only its environment names the simulator."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.queue_api import QueueApi
from lora_drop.simulator.running import running_simulator
from lora_drop.simulator.trainer import TICKS
from tests.simulator.conftest import QUICK
from tests.simulator.fal_calls import LIMIT, Calls, Receiver, receiving
from tests.support.builders import make_archive

OUTPUTS = ["diffusers_lora_file", "config_file"]


@dataclass
class Story:
    """One run of a user's program: what it saw, and what the simulator recorded."""

    seen: dict[str, Any]
    calls: Calls
    receiver: Receiver


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Run the program; each training ends only after its logs were read."""
    photos = tmp_path_factory.mktemp("photos") / "photos.zip"
    photos.write_bytes(make_archive(images=20))
    reads: list[object] = []
    ticks = itertools.count(1)
    really, status_body = asyncio.sleep, QueueApi._status_body

    def read(*of: Any) -> dict[str, Any]:
        body = status_body(*of)
        reads.extend(body["logs"] or ())
        return body

    async def until_read(_: float) -> None:
        last, before = next(ticks) % TICKS == 0, len(reads)
        await really(0)
        while last and len(reads) == before:
            await really(0.01)

    with (
        pytest.MonkeyPatch.context() as patch,
        running_simulator(SimulatorConfig(**QUICK)) as sim,
        Calls(sim) as calls,
        receiving() as receiver,
    ):
        names = SimpleNamespace(**{**vars(asyncio), "sleep": until_read})
        patch.setattr("lora_drop.simulator.trainer.asyncio", names)
        patch.setattr(QueueApi, "_status_body", read)
        program = subprocess.run(  # noqa: S603 -- our own program
            [sys.executable, "-m", "tests.simulator.fal_script", photos, f"{receiver.url}/hook"],
            env={**os.environ, **sim.access.environment()},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=10 * LIMIT,
            check=False,
        )
        assert program.returncode == 0, program.stderr
        yield Story(json.loads(program.stdout), calls, receiver)


@pytest.mark.parametrize("how", ["blocking", "asynchronous"])
def test_program_waits_for_a_training(story: Story, how: str) -> None:
    seen = story.seen[how]
    assert "Loading model weights..." in seen["lines"]
    assert seen["last_log"] == "Saving weights"
    assert list(seen["result"]) == list(seen["fetched"]) == OUTPUTS
    assert seen["fetched"]["diffusers_lora_file"]["url"].startswith(story.calls.sim.base_url)


def test_program_follows_a_training(story: Story) -> None:
    called = {json.loads(story.receiver.next().body)["request_id"] for _ in range(2)}
    datasets = story.calls.rows("datasets")
    arguments = [request["arguments"] for request in story.calls.sim.requests()]
    assert called == {seen["request_id"] for seen in story.seen.values()}
    assert [(row["images"], row["error"]) for row in datasets] == [(20, None)] * 4
    settings = {"trigger_phrase": "TOK", "steps": 1500, "subject_crop": True, "create_masks": False}
    assert all(settings.items() <= each.items() for each in arguments)
