"""A job of a stack, for asyncio."""

from asyncio import sleep, to_thread
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from lora_drop.client.events import JobEvent, Log
from lora_drop.client.following import EventReader
from lora_drop.client.job import Job, JobFile, JobResult, result_of
from lora_drop.client.job_view import JobView
from lora_drop.client.method_advice import method_advice
from lora_drop.jobs.artifacts import StoredFile


@dataclass(frozen=True, slots=True)
class AsyncJobResult:
    """As JobResult; ``download`` is awaited."""

    result: JobResult

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """As JobResult.files."""
        return self.result.files

    @property
    def lora(self) -> StoredFile | None:
        """As JobResult.lora."""
        return self.result.lora

    @property
    def config(self) -> StoredFile | None:
        """As JobResult.config."""
        return self.result.config

    @property
    def trigger_phrase(self) -> str | None:
        """As JobResult.trigger_phrase."""
        return self.result.trigger_phrase

    async def download(self, folder: Path | str) -> tuple[Path, ...]:
        """As JobResult.download."""
        return await to_thread(self.result.download, folder)


@dataclass(frozen=True, slots=True, repr=False)
class AsyncJob(JobView):
    """As Job. The calls run in threads; waiting takes none, so that a task that waits can be cancelled."""

    _job: Job = field(kw_only=True, compare=False)

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the job for asyncio."""
        return cls(job.id, job.public, job.location, _job=job)

    async def refresh(self) -> Self:
        """As Job.refresh."""
        return self.of(await to_thread(self._job.refresh))

    async def wait(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # as Job.wait
        *,
        patience: float | None = None,
    ) -> Self:
        """As Job.wait."""
        return self.of(await self._waited(timeout, patience))

    async def events(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # as Job.events
        *,
        patience: float | None = None,
    ) -> AsyncIterator[JobEvent]:
        """As Job.events."""
        reader = EventReader(self._job.watch(timeout, patience))
        while not reader.ended:
            with method_advice():
                found = await to_thread(lambda: tuple(reader.look()))
            for event in found:
                yield event
            if not reader.ended:
                await sleep(reader.pause)

    async def logs(self) -> tuple[Log, ...]:
        """As Job.logs."""
        return await to_thread(self._job.logs)

    async def files(self) -> tuple[JobFile, ...]:
        """As Job.files."""
        return await to_thread(self._job.files)

    async def result(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  # as Job.result
        *,
        patience: float | None = None,
    ) -> AsyncJobResult:
        """As Job.result."""
        return AsyncJobResult(result_of(await self._waited(timeout, patience)))

    async def download(self, folder: Path | str) -> tuple[Path, ...]:
        """As Job.download."""
        return await to_thread(self._job.download, folder)

    async def cancel(self) -> Self:
        """As Job.cancel."""
        return self.of(await to_thread(self._job.cancel))

    async def approve(self) -> Self:
        """As Job.approve; a caller that is cancelled meanwhile does not end the thread that asks."""
        return self.of(await to_thread(self._job.approve))

    async def retry(self, *, resume: bool = False) -> Self:
        """As Job.retry; a caller that is cancelled meanwhile does not end the thread that asks."""
        return self.of(await to_thread(partial(self._job.retry, resume=resume)))

    async def _waited(self, timeout: float | None, patience: float | None) -> Job:  # noqa: ASYNC109
        watch = self._job.watch(timeout, patience)
        while (job := await to_thread(self._job.look, watch)) is None:  # noqa: ASYNC110  # the stack has no event
            await sleep(watch.pause)
        return job
