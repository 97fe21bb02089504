"""A user's program: pointed to fal by its environment alone, it tells as JSON what it saw."""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import fal_client

from tests.simulator.fal_users import APPLICATION, AvatarService, TrainerClient

AVATAR = UUID("0123abcd-0000-4000-8000-000000000000")


class Lines(logging.Handler):
    """Every line that was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.said.append(record.getMessage())


async def asynchronous(photos: Path, webhook_url: str) -> dict[str, Any]:
    lines = Lines()
    logging.getLogger("tests.simulator.fal_users").addHandler(lines)
    logging.getLogger("tests.simulator.fal_users").setLevel(logging.INFO)
    trainer = TrainerClient()
    url = await trainer.upload_training_data(photos)
    waited = await trainer.train_avatar(url, trigger_phrase="TOK", steps=1500)
    request_id = await trainer.train_avatar_async(url, webhook_url, trigger_phrase="TOK")
    while True:
        status = await trainer.check_training_status(request_id)
        if isinstance(status, fal_client.Completed):
            break
        await asyncio.sleep(0.02)
    return {
        "waited": waited,
        "lines": lines.said,
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
    while not isinstance(
        fal_client.status(APPLICATION, handler.request_id, with_logs=True), fal_client.Completed
    ):
        continue
    return {
        "result": result,
        "lines": lines,
        "request_id": handler.request_id,
        "fetched": fal_client.result(APPLICATION, handler.request_id),
    }


def main() -> None:
    photos, webhook_url = Path(sys.argv[1]), sys.argv[2]
    # fal_client reads its other hosts from the environment; for these two it has constants.
    fal_client.client.REST_URL = fal_client.client.CDN_URL = os.environ["FAL_REST_URL"]
    told = {
        "blocking": blocking(photos, webhook_url),
        "asynchronous": asyncio.run(asynchronous(photos, webhook_url)),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
