"""A trainer class with the method names that users of fal's portrait trainer know, over lora-drop's direct mode.

``FAL_KEY=… python portrait_trainer_class.py PHOTOS.zip TRIGGER`` trains and prints the addresses of both files.
The key stays on your server: a browser calls you, and you call fal.
"""

import asyncio
import logging
import sys
from pathlib import Path

from lora_drop import AsyncPortraitTrainer, DatasetRejectedError
from lora_drop.client.direct_requests import RequestStatus, Training
from lora_drop.webhooks import TrainingResult

logger = logging.getLogger(__name__)


class FluxPortraitTrainer:
    """Trains portraits; the same call twice is paid once."""

    def __init__(self, trainer: AsyncPortraitTrainer | None = None) -> None:
        self.trainer = trainer or AsyncPortraitTrainer()

    async def train_avatar(
        self,
        images_data_url: str,
        trigger_phrase: str,
        learning_rate: float = 0.00009,
        steps: int = 2500,
        *,
        multiresolution_training: bool = True,
        subject_crop: bool = True,
        create_masks: bool = False,
    ) -> TrainingResult:
        """Train, log the progress, and return the files."""
        return await self.trainer.train(
            images_data_url,
            on_update=self.log,
            trigger_phrase=trigger_phrase,
            learning_rate=learning_rate,
            steps=steps,
            multiresolution_training=multiresolution_training,
            subject_crop=subject_crop,
            create_masks=create_masks,
        )

    async def train_avatar_async(
        self,
        images_data_url: str,
        webhook_url: str,
        *,
        trigger_phrase: str,
        learning_rate: float = 0.00009,
        steps: int = 2500,
        multiresolution_training: bool = True,
        subject_crop: bool = True,
        create_masks: bool = False,
    ) -> str:
        """Return the request id at once; fal calls ``webhook_url`` when the training has ended."""
        return await self.trainer.submit(
            images_data_url,
            webhook_url=webhook_url,
            trigger_phrase=trigger_phrase,
            learning_rate=learning_rate,
            steps=steps,
            multiresolution_training=multiresolution_training,
            subject_crop=subject_crop,
            create_masks=create_masks,
        )

    async def check_training_status(self, request_id: str) -> RequestStatus:
        """Return where a training stands: Queued, Training with its logs, FinishedRequest or FailedRequest."""
        return await self.trainer.status(request_id)

    async def get_training_result(self, request_id: str) -> TrainingResult:
        """Return the files of a training that has succeeded."""
        return await self.trainer.result(request_id)

    async def upload_training_data(self, path: str) -> str:
        """Return an address at fal for a ZIP of this machine; fal drops it after a day."""
        return await self.trainer.upload(Path(path))

    def log(self, status: RequestStatus) -> None:
        """Write the trainer's last line, or the state where it has none yet."""
        lines = status.logs if isinstance(status, Training) else ()
        logger.info("%s", lines[-1] if lines else status)


async def main(path: str, trigger_phrase: str) -> None:
    """Upload a ZIP and train on it."""
    trainer = FluxPortraitTrainer()
    url = await trainer.upload_training_data(path)
    result = await trainer.train_avatar(url, trigger_phrase)
    sys.stdout.writelines(f"{file.output}: {file.url}\n" for file in result.files)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
    except DatasetRejectedError as rejected:
        sys.exit("\n".join(problem.message for problem in rejected.report.errors))
