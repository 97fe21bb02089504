"""A stack for programs of asyncio."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Self, Unpack

from lora_drop.client.async_job import AsyncJob
from lora_drop.client.comparison import Comparison
from lora_drop.client.history import HistoryEntry
from lora_drop.client.inputs import Dataset, Inputs
from lora_drop.client.lora_drop import LoraDrop
from lora_drop.client.stack_client import PAGE, Progress
from lora_drop.datasets.report import Report
from lora_drop.jobs.status import Status


class AsyncLoraDrop:
    """As LoraDrop. The calls run in threads.

    A caller that is cancelled does not end the thread that uploads or asks: what it began is done once, and a
    job that came of it is in ``jobs``.
    """

    def __init__(
        self, stack: str | None = None, *, profile: str | None = None, region: str | None = None
    ) -> None:
        self._drop = LoraDrop(stack, profile=profile, region=region)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """As LoraDrop.close."""
        self._drop.close()

    async def check(
        self, dataset: Dataset, *, faces: bool = True, **inputs: Unpack[Inputs]
    ) -> Report:
        """As LoraDrop.check."""
        return await to_thread(partial(self._drop.check, dataset, faces=faces, **inputs))

    async def train(
        self,
        dataset: Dataset | Report,
        *,
        reference: str | None = None,
        notify_url: str | None = None,
        force_retrain: bool = False,
        proof: bool | None = None,
        key: str | None = None,
        progress: Progress | None = None,
        faces: bool = True,
        **inputs: Unpack[Inputs],
    ) -> AsyncJob:
        """As LoraDrop.train; ``progress`` is called in the thread that uploads."""
        call = partial(
            self._drop.train,
            dataset,
            reference=reference,
            notify_url=notify_url,
            force_retrain=force_retrain,
            proof=proof,
            key=key,
            progress=progress,
            faces=faces,
            **inputs,
        )
        return AsyncJob.of(await to_thread(call))

    async def job(self, job_id: str) -> AsyncJob:
        """As LoraDrop.job."""
        return AsyncJob.of(await to_thread(self._drop.job, job_id))

    async def jobs(
        self,
        *,
        status: Status | None = None,
        reference: str | None = None,
        dataset: str | None = None,
    ) -> AsyncIterator[AsyncJob]:
        """As LoraDrop.jobs."""
        found = self._drop.jobs(status=status, reference=reference, dataset=dataset)
        while (job := await to_thread(next, found, None)) is not None:
            yield AsyncJob.of(job)

    async def history(self, name: str, *, limit: int = PAGE) -> tuple[HistoryEntry, ...]:
        """As LoraDrop.history."""
        return await to_thread(partial(self._drop.history, name, limit=limit))

    async def compare(self, a: str, b: str) -> Comparison:
        """As LoraDrop.compare."""
        return await to_thread(self._drop.compare, a, b)
