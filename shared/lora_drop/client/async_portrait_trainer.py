"""A training without a stack, for asyncio."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from lora_drop.client.direct_patience import Deadline
from lora_drop.client.direct_requests import Parameters, RequestStatus
from lora_drop.client.portrait_trainer import POLL, Again, PortraitTrainer
from lora_drop.fal.trainers.table import DEFAULT

if TYPE_CHECKING:
    from lora_drop.client.direct_dataset import DatasetSource
    from lora_drop.client.direct_result import DirectResult
    from lora_drop.datasets.report import Report


class AsyncPortraitTrainer:
    """The same for asyncio; the calls run in threads, and waiting takes none."""

    def __init__(
        self,
        key: str | None = None,
        *,
        application: str = DEFAULT.application,
        state: Path | None = None,
        poll: float = POLL,
    ) -> None:
        self.trainer = PortraitTrainer(key, application=application, state=state, poll=poll)

    async def check(
        self, dataset: "DatasetSource", *, faces: bool = True, **parameters: Unpack[Parameters]
    ) -> "Report":
        """As PortraitTrainer.check."""
        call = partial(self.trainer.check, dataset, faces=faces, **parameters)
        return await asyncio.to_thread(call)

    async def upload(self, path: Path) -> str:
        """As PortraitTrainer.upload."""
        return await asyncio.to_thread(self.trainer.upload, path)

    async def submit(
        self,
        dataset: "DatasetSource",
        *,
        webhook_url: str | None = None,
        again: Again = False,
        faces: bool = True,
        **parameters: Unpack[Parameters],
    ) -> str:
        """As PortraitTrainer.submit; a caller that is cancelled meanwhile does not end the thread that pays."""
        call = partial(
            self.trainer.submit,
            dataset,
            webhook_url=webhook_url,
            again=again,
            faces=faces,
            **parameters,
        )
        return await asyncio.to_thread(call)

    async def status(self, request_id: str) -> RequestStatus:
        """As PortraitTrainer.status."""
        return await asyncio.to_thread(self.trainer.status, request_id)

    async def result(self, request_id: str) -> "DirectResult":
        """As PortraitTrainer.result."""
        return await asyncio.to_thread(self.trainer.result, request_id)

    async def cancel(self, request_id: str) -> bool:
        """As PortraitTrainer.cancel."""
        return await asyncio.to_thread(self.trainer.cancel, request_id)

    async def train(
        self,
        dataset: "DatasetSource",
        *,
        on_update: Callable[[RequestStatus], None] = lambda _: None,
        timeout: float | None = None,  # noqa: ASYNC109  # as the other's
        again: Again = False,
        faces: bool = True,
        **parameters: Unpack[Parameters],
    ) -> "DirectResult":
        """As PortraitTrainer.train."""
        request_id = await self.submit(dataset, again=again, faces=faces, **parameters)
        return await self.wait(request_id, on_update=on_update, timeout=timeout)

    async def wait(
        self,
        request_id: str,
        *,
        on_update: Callable[[RequestStatus], None] = lambda _: None,
        timeout: float | None = None,  # noqa: ASYNC109  # as the other's
    ) -> "DirectResult":
        """As PortraitTrainer.wait."""
        watch = self.trainer.watch(request_id, on_update)
        deadline = Deadline(request_id, timeout)
        while (done := await asyncio.to_thread(next, watch)) is None:  # noqa: ASYNC110  # fal has no event
            await asyncio.sleep(deadline.pause(self.trainer.poll))
        return done
