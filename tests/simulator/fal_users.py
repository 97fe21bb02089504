"""The trainer's users, as they write their code: nothing here knows of a simulator."""

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import fal_client

APPLICATION = "fal-ai/flux-lora-portrait-trainer"
logger = logging.getLogger(__name__)


class TrainerClient:
    """Trains avatars; all of it asynchronous."""

    async def train_avatar(
        self,
        images_data_url: str,
        trigger_phrase: str | None = None,
        learning_rate: float = 0.00009,
        steps: int = 2500,
        *,
        multiresolution_training: bool = True,
        subject_crop: bool = True,
        create_masks: bool = False,
    ) -> dict[str, Any]:
        """Wait for the training and return its result."""

        def on_queue_update(update: fal_client.Status) -> None:
            if isinstance(update, fal_client.InProgress):
                for log in update.logs or []:
                    logger.info(log["message"])

        result: dict[str, Any] = await fal_client.subscribe_async(
            APPLICATION,
            arguments={
                "images_data_url": images_data_url,
                "trigger_phrase": trigger_phrase,
                "learning_rate": learning_rate,
                "steps": steps,
                "multiresolution_training": multiresolution_training,
                "subject_crop": subject_crop,
                "create_masks": create_masks,
            },
            with_logs=True,
            on_queue_update=on_queue_update,
        )
        return result

    async def train_avatar_async(
        self, images_data_url: str, webhook_url: str, **parameters: Any
    ) -> str:
        """Start a training that calls back; its request id."""
        handler = await fal_client.submit_async(
            APPLICATION,
            arguments={"images_data_url": images_data_url, **parameters},
            webhook_url=webhook_url,
        )
        return handler.request_id

    async def check_training_status(self, request_id: str) -> fal_client.Status:
        """Where a training is, with its logs."""
        return await fal_client.status_async(APPLICATION, request_id, with_logs=True)

    async def get_training_result(self, request_id: str) -> dict[str, Any]:
        """What a training made."""
        result: dict[str, Any] = await fal_client.result_async(APPLICATION, request_id)
        return result

    async def upload_training_data(self, path: Path) -> str:
        """The URL that an archive can be trained from."""
        return await fal_client.upload_file_async(path)


class AvatarService:
    """Trains one avatar per id."""

    def __init__(self, trainer: TrainerClient) -> None:
        self._trainer = trainer

    async def start_training(self, avatar_id: UUID, training_data_url: str) -> dict[str, Any]:
        """Train with the settings that suit a portrait."""
        return await self._trainer.train_avatar(
            images_data_url=training_data_url,
            trigger_phrase=f"TOK_{avatar_id.hex[:8]}",
            learning_rate=0.0002,
            steps=1000,
            subject_crop=True,
            create_masks=True,
        )
