"""A user's program: its environment alone points it to fal, and it prints as JSON what it saw."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import fal_client

APPLICATION = "fal-ai/flux-lora-portrait-trainer"
PHOTOS, WEBHOOK_URL = Path(sys.argv[1]), sys.argv[2]
SETTINGS = {"trigger_phrase": "TOK", "steps": 1500, "subject_crop": True, "create_masks": False}


class Progress(list[str]):
    """The lines of the trainings so far."""

    def __call__(self, update: fal_client.Status) -> None:
        if isinstance(update, fal_client.InProgress):
            self.extend(log["message"] for log in update.logs or [])


def blocking() -> dict[str, Any]:
    lines = Progress()
    arguments = {"images_data_url": fal_client.upload_file(PHOTOS), **SETTINGS}
    result = fal_client.subscribe(APPLICATION, arguments, with_logs=True, on_queue_update=lines)
    request_id = fal_client.submit(APPLICATION, arguments, webhook_url=WEBHOOK_URL).request_id
    while not isinstance(
        status := fal_client.status(APPLICATION, request_id, with_logs=True), fal_client.Completed
    ):
        continue
    fetched = fal_client.result(APPLICATION, request_id)
    return seen(lines, result, request_id, status, fetched)


async def asynchronous() -> dict[str, Any]:
    lines = Progress()
    arguments = {"images_data_url": await fal_client.upload_file_async(PHOTOS), **SETTINGS}
    result = await fal_client.subscribe_async(
        APPLICATION, arguments, with_logs=True, on_queue_update=lines
    )
    handle = await fal_client.submit_async(APPLICATION, arguments, webhook_url=WEBHOOK_URL)
    request_id = handle.request_id
    while True:
        status = await fal_client.status_async(APPLICATION, request_id, with_logs=True)
        if isinstance(status, fal_client.Completed):
            break
        await asyncio.sleep(0.02)
    fetched = await fal_client.result_async(APPLICATION, request_id)
    return seen(lines, result, request_id, status, fetched)


def seen(
    lines: list[str], result: Any, request_id: str, status: fal_client.Completed, fetched: Any
) -> dict[str, Any]:
    last_log = (status.logs or [{}])[-1].get("message")
    return {
        "lines": lines,
        "result": result,
        "request_id": request_id,
        "last_log": last_log,
        "fetched": fetched,
    }


# fal_client reads its other hosts from the environment; for these two it has constants.
fal_client.client.REST_URL = fal_client.client.CDN_URL = os.environ["FAL_REST_URL"]
json.dump({"blocking": blocking(), "asynchronous": asyncio.run(asynchronous())}, sys.stdout)
