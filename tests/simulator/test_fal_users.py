"""Programs of the trainer's users run as they are: only their environment names the simulator."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.simulator.receiver import Receiver, receiving
from tests.support.builders import make_archive


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Story"]:
    """One run of the program, what it told, and what the simulator says of it."""
    photos = tmp_path_factory.mktemp("photos") / "photos.zip"
    photos.write_bytes(make_archive(images=20))
    config = SimulatorConfig(training_seconds=0.3, lora_rank=1)
    with running_simulator(config) as sim, receiving() as receiver:
        program = subprocess.run(  # noqa: S603 -- our own program
            [
                sys.executable,
                "-m",
                "tests.simulator.fal_script",
                str(photos),
                f"{receiver.url}/hook",
            ],
            env={**os.environ, **sim.access.environment()},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert program.returncode == 0, program.stderr
        yield Story(json.loads(program.stdout), sim, receiver)


class Story:
    def __init__(self, told: dict[str, Any], sim: ControlClient, receiver: Receiver) -> None:
        self.told = told
        self.sim = sim
        self.receiver = receiver
        self.arguments = [request["arguments"] for request in sim.requests()]


def test_subscribe_prints_the_logs_and_returns_the_files(story: Story) -> None:
    told = story.told["blocking"]

    assert "Loading model weights..." in told["lines"]
    assert set(told["result"]) == set(told["fetched"]) == {"diffusers_lora_file", "config_file"}


def test_train_avatar_logs_its_progress_and_returns_the_result(story: Story) -> None:
    told = story.told["asynchronous"]

    assert "Loading model weights..." in told["lines"]
    assert set(told["waited"]) == {"diffusers_lora_file", "config_file"}
    [arguments] = [each for each in story.arguments if each.get("steps") == 1500]
    assert arguments["trigger_phrase"] == "TOK"
    assert (arguments["subject_crop"], arguments["create_masks"]) == (True, False)


def test_train_avatar_async_returns_an_id_that_can_be_followed_to_the_result(
    story: Story,
) -> None:
    told = story.told["asynchronous"]

    assert told["last_log"] == "Saving weights"
    assert told["fetched"]["diffusers_lora_file"]["url"].startswith(story.sim.base_url)


def test_both_submissions_called_back(story: Story) -> None:
    called = {json.loads(story.receiver.next().body)["request_id"] for _ in range(2)}

    assert called == {story.told[how]["request_id"] for how in ("blocking", "asynchronous")}


def test_upload_training_data_gives_a_url_that_trains(story: Story) -> None:
    datasets = story.sim.ledger()["datasets"]

    assert [row["images"] for row in datasets] == [20] * len(story.arguments)
    assert {row["error"] for row in datasets} == {None}


def test_the_avatar_service_trains_with_its_own_settings(story: Story) -> None:
    assert set(story.told["asynchronous"]["avatar"]) == {"diffusers_lora_file", "config_file"}
    assert {
        "trigger_phrase": "TOK_0123abcd",
        "steps": 1000,
        "learning_rate": 0.0002,
        "subject_crop": True,
        "create_masks": True,
    }.items() <= story.arguments[-1].items()
