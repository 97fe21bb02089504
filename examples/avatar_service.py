"""An avatar service: one training for each avatar, with a fal key and no AWS.

``FAL_KEY=… python avatar_service.py AVATAR_ID ADDRESS_OF_A_ZIP`` trains one and prints the LoRA's address.
"""

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from lora_drop import AsyncPortraitTrainer, DatasetRejectedError
from lora_drop.client.direct_requests import RequestStatus
from lora_drop.webhooks import TrainingResult


class AvatarService:
    """Trains avatars. A second call for the same avatar finds the first training; it is paid once."""

    def __init__(self, trainer: AsyncPortraitTrainer | None = None) -> None:
        self.trainer = trainer or AsyncPortraitTrainer()

    async def train_avatar(self, avatar_id: UUID, training_data_url: str) -> TrainingResult:
        """Train and wait for the files."""
        request_id = await self.start_training(avatar_id, training_data_url)
        return await self.trainer.wait(request_id, on_update=print)

    async def start_training(
        self, avatar_id: UUID, training_data_url: str, webhook_url: str | None = None
    ) -> str:
        """Return the request id at once; fal calls ``webhook_url`` when the training has ended."""
        return await self.trainer.submit(
            training_data_url,
            webhook_url=webhook_url,
            trigger_phrase=f"TOK_{avatar_id.hex[:8]}",
            steps=1000,
            learning_rate=2e-4,
            subject_crop=True,
            create_masks=True,
        )

    async def check_training_status(self, request_id: str) -> RequestStatus:
        """Return where a training stands."""
        return await self.trainer.status(request_id)

    async def get_training_result(self, request_id: str) -> TrainingResult:
        """Return the files of a training that has succeeded."""
        return await self.trainer.result(request_id)

    async def upload_training_data(self, path: Path) -> str:
        """Return an address at fal for a ZIP of this machine."""
        return await self.trainer.upload(path)


if __name__ == "__main__":
    try:
        trained = asyncio.run(AvatarService().train_avatar(UUID(sys.argv[1]), sys.argv[2]))
    except DatasetRejectedError as rejected:
        sys.exit("\n".join(problem.message for problem in rejected.report.errors))
    sys.stdout.write(f"{trained.lora.url if trained.lora else trained}\n")
