"""Receive fal's webhooks with FastAPI.

``FAL_USER_ID=… fastapi run fastapi_webhook.py``, then submit with ``webhook_url="https://YOUR-HOST/webhooks/fal"``.
fal counts 2xx as delivered and sends anything else again, up to 10 times within two hours
(https://fal.ai/docs/model-endpoints/webhooks), so a delivery may come more than once.
"""

import logging
import os
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from lora_drop import webhooks

app = FastAPI()
logger = logging.getLogger("uvicorn.error")


class Trainings:
    """What has come of each request; yours is a table with the request id as its key."""

    def __init__(self) -> None:
        self.deliveries: dict[str, webhooks.Delivery] = {}

    def keep(self, delivery: webhooks.Delivery) -> bool:
        """Keep a delivery; False where that request's has come before."""
        return self.deliveries.setdefault(delivery.request_id, delivery) is delivery


trainings = Trainings()


def kept() -> Trainings:
    """Return the table."""
    return trainings


def use(delivery: webhooks.Delivery) -> None:
    """Do what takes long, after fal has its answer: copy the files, tell the user."""
    if isinstance(delivery, webhooks.FailedTraining):
        logger.error("%s: %s", delivery.request_id, delivery.problem.message)
    elif delivery.lora is not None:
        logger.info("%s: %s", delivery.request_id, delivery.lora.url)


@app.post("/webhooks/fal")
async def fal_webhook(
    request: Request, later: BackgroundTasks, table: Annotated[Trainings, Depends(kept)]
) -> Response:
    """Answer 200 for what fal has signed, 401 for anything else, 503 where fal's keys cannot be had."""
    body = (
        await request.body()
    )  # byte by byte: what was decoded and written again has another signature
    try:
        delivery = await run_in_threadpool(
            webhooks.unwrap, body, request.headers.raw, user_id=os.environ["FAL_USER_ID"]
        )
    except webhooks.InvalidSignatureError:
        return Response(status_code=401)
    except webhooks.SigningKeysUnavailableError:
        return Response(status_code=503)  # fal sends it again
    if table.keep(delivery):
        later.add_task(use, delivery)
    return Response(status_code=200)
