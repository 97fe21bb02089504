"""The same stack against any other server that speaks fal's protocol."""

import json
from pathlib import Path

import pytest

from lora_drop.local.stack import SAMPLE
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator
from tests.e2e.conftest import run_command

pytestmark = pytest.mark.stack


def test_a_stack_that_is_told_of_another_fal_trains_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SimulatorConfig(
        key="another-key", user_id="user_other", training_seconds=0.2, lora_rank=1
    )
    with running_simulator(config) as fal:
        monkeypatch.setenv("FAL_KEY", fal.key)
        monkeypatch.setenv("FAL_USER_ID", fal.user_id)
        words = ["up", "--fal", fal.base_url, "--fal-ca", str(fal.ca_file), "--json"]
        access = json.loads(run_command(tmp_path, *words))
        try:
            job = json.loads(run_command(tmp_path, "train", str(SAMPLE), "--json"))
        finally:
            run_command(tmp_path, "down")
        ledger = fal.ledger()

    assert (access["fal_url"], access["fal_simulated"]) == (fal.base_url, False)
    assert job["status"] == "SUCCEEDED"
    assert [row["request_id"] for row in ledger["submissions"]] == [job["request_id"]]


def test_an_address_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    run_command(tmp_path, "up", "--fal", "http://fal.example", code=1)

    assert not (tmp_path / "emulator.log").exists()
