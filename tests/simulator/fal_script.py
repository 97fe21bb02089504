"""A user's program: its environment alone points it to fal, and it prints as JSON what it saw.

The two classes are as the trainer's users write their code: nothing in them knows of a simulator.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import fal_client

APPLICATION = "fal-ai/flux-lora-portrait-trainer"
AVATAR = UUID("0123abcd-0000-4000-8000-000000000000")


class TrainerClient:
    def __init__(self) -> None:
        self.lines: list[str] = []

    async def train_avatar(self, images_data_url: str, **parameters: Any) -> dict[str, Any]:
        def on_queue_update(update: fal_client.Status) -> None:
            if isinstance(update, fal_client.InProgress):
                self.lines.extend(log["message"] for log in update.logs or [])

        result: dict[str, Any] = await fal_client.subscribe_async(
            APPLICATION,
            arguments={"images_data_url": images_data_url, **parameters},
            with_logs=True,
            on_queue_update=on_queue_update,
        )
        return result

    async def train_avatar_async(self, url: str, webhook_url: str, **parameters: Any) -> str:
        arguments = {"images_data_url": url, **parameters}
        handler = await fal_client.submit_async(APPLICATION, arguments, webhook_url=webhook_url)
        return handler.request_id

    async def check_training_status(self, request_id: str) -> fal_client.Status:
        return await fal_client.status_async(APPLICATION, request_id, with_logs=True)

    async def get_training_result(self, request_id: str) -> dict[str, Any]:
        result: dict[str, Any] = await fal_client.result_async(APPLICATION, request_id)
        return result

    async def upload_training_data(self, path: Path) -> str:
        return await fal_client.upload_file_async(path)


class AvatarService:
    def __init__(self, trainer: TrainerClient) -> None:
        self._trainer = trainer

    async def start_training(self, avatar_id: UUID, training_data_url: str) -> dict[str, Any]:
        return await self._trainer.train_avatar(
            images_data_url=training_data_url,
            trigger_phrase=f"TOK_{avatar_id.hex[:8]}",
            learning_rate=0.0002,
            steps=1000,
            subject_crop=True,
            create_masks=True,
        )


async def asynchronous(photos: Path, webhook_url: str) -> dict[str, Any]:
    trainer = TrainerClient()
    url = await trainer.upload_training_data(photos)
    settings = {"subject_crop": True, "create_masks": False, "multiresolution_training": True}
    waited = await trainer.train_avatar(url, trigger_phrase="TOK", steps=1500, **settings)
    request_id = await trainer.train_avatar_async(url, webhook_url, trigger_phrase="TOK")
    while True:
        status = await trainer.check_training_status(request_id)
        if isinstance(status, fal_client.Completed):
            break
        await asyncio.sleep(0.02)
    return {
        "result": waited,
        "lines": trainer.lines,
        "request_id": request_id,
        "last_log": (status.logs or [{}])[-1].get("message"),
        "fetched": await trainer.get_training_result(request_id),
        "avatar": await AvatarService(trainer).start_training(AVATAR, url),
    }


def blocking(photos: Path, webhook_url: str) -> dict[str, Any]:
    lines: list[str] = []

    def on_queue_update(update: fal_client.Status) -> None:
        if isinstance(update, fal_client.InProgress):
            lines.extend(log["message"] for log in update.logs or [])

    arguments = {"images_data_url": fal_client.upload_file(photos)}
    result = fal_client.subscribe(
        APPLICATION, arguments, with_logs=True, on_queue_update=on_queue_update
    )
    handler = fal_client.submit(APPLICATION, arguments, webhook_url=webhook_url)
    while not isinstance(handler.status(with_logs=True), fal_client.Completed):
        continue
    return {
        "result": result,
        "lines": lines,
        "request_id": handler.request_id,
        "fetched": fal_client.result(APPLICATION, handler.request_id),
    }


if __name__ == "__main__":
    photos, webhook_url = Path(sys.argv[1]), sys.argv[2]
    # fal_client reads its other hosts from the environment; for these two it has constants.
    fal_client.client.REST_URL = fal_client.client.CDN_URL = os.environ["FAL_REST_URL"]
    seen = {
        "blocking": blocking(photos, webhook_url),
        "asynchronous": asyncio.run(asynchronous(photos, webhook_url)),
    }
    json.dump(seen, sys.stdout)
