"""The examples for users of fal's trainer, run at the simulator (docs/fal-parity.md)."""

import asyncio
import json
import logging
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from lora_drop import webhooks
from lora_drop.client.async_portrait_trainer import AsyncPortraitTrainer
from lora_drop.client.direct_requests import FinishedRequest
from lora_drop.client.portrait_trainer import PortraitTrainer
from tests.simulator.conftest import dataset
from tests.simulator.fal_calls import Calls, Received, Receiver, data_uri

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("trainer")
@pytest.mark.parity("train_avatar", "train_avatar_async", "check_training_status")
@pytest.mark.parity("get_training_result", "upload_training_data")
def test_trainer_class_example(
    calls: Calls, path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Every method of examples/portrait_trainer_class.py does what its name says."""
    module = runpy.run_path(str(ROOT / "examples" / "portrait_trainer_class.py"))
    same = AsyncPortraitTrainer(state=path.parent / "class.sqlite", poll=0.01)
    users = module["FluxPortraitTrainer"](same)
    inputs: dict[str, Any] = {
        "trigger_phrase": "TOK",
        "learning_rate": 0.0002,
        "steps": 1500,
        "multiresolution_training": False,
        "subject_crop": False,
        "create_masks": True,
    }

    async def whole() -> None:
        url = await users.upload_training_data(str(path))
        result = await users.train_avatar(url, **inputs)
        assert result.lora
        assert result.config
        assert result == await users.get_training_result(result.request_id)
        assert isinstance(await users.check_training_status(result.request_id), FinishedRequest)
        later = await users.train_avatar_async(url, f"{receiver.url}/hook", trigger_phrase="ada")
        assert (
            later == json.loads(await asyncio.to_thread(lambda: receiver.next().body))["request_id"]
        )

    with caplog.at_level(logging.INFO):
        asyncio.run(whole())
    assert "FinishedRequest" in caplog.text
    first, second = (request["arguments"] for request in calls.sim.requests())
    assert inputs.items() <= first.items()
    assert (second["steps"], second["learning_rate"]) == (2500, 0.00009)


@pytest.mark.parity("webhook receiver", "key on the server")
def test_fastapi_webhook_example(
    trainer: PortraitTrainer,
    calls: Calls,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """examples/fastapi_webhook.py answers fal's own deliveries as fal's retries want it."""
    monkeypatch.setenv("FAL_USER_ID", calls.sim.access.user_id)
    monkeypatch.setenv("FAL_JWKS_URL", f"{calls.sim.base_url}/.well-known/jwks.json")
    webhooks._fal_keys.cache_clear()
    request_id = trainer.submit(data_uri(dataset()), webhook_url=f"{receiver.url}/hook")
    failing = calls.inject("training_error", type="image_load_error") and trainer.submit(
        data_uri(dataset(seed=3)), webhook_url=f"{receiver.url}/hook"
    )
    deliveries = [receiver.next() for _ in range(2)]
    module = runpy.run_path(str(ROOT / "examples" / "fastapi_webhook.py"))

    async def deliver(*received: Received) -> list[int]:
        wire = httpx.ASGITransport(module["app"])
        async with httpx.AsyncClient(transport=wire, base_url="https://app.example") as client:
            answers = [
                await client.post("/webhooks/fal", content=each.body, headers=dict(each.headers))
                for each in received
            ]
        return [answer.status_code for answer in answers]

    forged = replace(deliveries[0], body=deliveries[0].body + b" ")
    # fal may deliver twice
    assert asyncio.run(deliver(*deliveries, deliveries[0], forged)) == [200, 200, 200, 401]
    webhooks._fal_keys.cache_clear()
    monkeypatch.setenv("FAL_JWKS_URL", "https://127.0.0.1:9/none.json")
    assert asyncio.run(deliver(deliveries[0])) == [503]
    webhooks._fal_keys.cache_clear()
    kept = module["trainings"].deliveries
    assert kept.keys() == {request_id, failing}
    assert isinstance(kept[request_id], webhooks.TrainingResult)
    assert isinstance(kept[failing], webhooks.FailedTraining)


@pytest.mark.usefixtures("trainer")
@pytest.mark.parity(
    "start_training", "TOK_ and 8 hex digits", "1000 steps", "crop and masks", "key on the server"
)
def test_avatar_service_example(receiver: Receiver, calls: Calls, path: Path) -> None:
    """Every method of examples/avatar_service.py does what its name says."""
    module = runpy.run_path(str(ROOT / "examples" / "avatar_service.py"))
    service = module["AvatarService"](
        AsyncPortraitTrainer(state=path.parent / "service.sqlite", poll=0.01)
    )
    receiver.files["/ada.zip"] = dataset()
    avatar = UUID("12345678-1234-5678-1234-567812345678")

    async def whole() -> None:
        result = await service.train_avatar(avatar, f"{receiver.url}/ada.zip")
        assert result == await service.get_training_result(result.request_id)
        assert isinstance(await service.check_training_status(result.request_id), FinishedRequest)
        uploaded = await service.upload_training_data(path)
        again = await service.start_training(avatar, uploaded)
        assert again == result.request_id  # the same photos for the same avatar are paid for once
        await service.start_training(UUID(int=7), uploaded, webhook_url=receiver.url)

    asyncio.run(whole())
    first, second = calls.sim.requests()
    assert second["webhook_url"] == receiver.url
    assert first["arguments"] == {
        "images_data_url": f"{receiver.url}/ada.zip",
        "trigger_phrase": "TOK_12345678",
        "steps": 1000,
        "learning_rate": 0.0002,
        "multiresolution_training": True,
        "subject_crop": True,
        "create_masks": True,
        "data_archive_format": "zip",
    }
