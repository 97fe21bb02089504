"""Who runs and who waits: so many requests are in progress at once, the rest in order of arrival."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from local.fal.errors import Outcome, request_error
from local.fal.ledger import Ledger
from local.fal.requests import ModelRequest, Status

logger = logging.getLogger(__name__)


class Slots:
    """fal's concurrency limit: it counts only what is in progress, and never refuses."""

    def __init__(
        self,
        limit: int,
        *,
        ledger: Ledger,
        work: Callable[[ModelRequest], Awaitable[Outcome]],
        ended: Callable[[ModelRequest], None],
    ) -> None:
        self._limit = limit
        self._ledger = ledger
        self._work = work
        self._ended = ended
        self._waiting: list[ModelRequest] = []
        self._running: dict[str, asyncio.Task[None]] = {}

    def enqueue(self, request: ModelRequest) -> None:
        """Have it run when its turn comes."""
        self._waiting.append(request)
        self._advance()
        if request.start_within is not None and request.status is Status.IN_QUEUE:
            asyncio.get_running_loop().call_later(request.start_within, self._too_late, request)

    def position(self, request: ModelRequest) -> int:
        """How many are to start before it."""
        return self._waiting.index(request) if request in self._waiting else 0

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def cancel(self, request: ModelRequest) -> None:
        """Take it out of the queue, or tell its runner to stop."""
        request.cancelled = True
        if request in self._waiting:
            self._waiting.remove(request)
            self._end(request, request_error("client_cancelled"))
        elif task := self._running.get(request.request_id):
            task.cancel()

    async def close(self) -> None:
        """Stop every runner; what waits is forgotten."""
        self._waiting.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _advance(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            request = self._waiting.pop(0)
            request.start()
            self._running[request.request_id] = asyncio.create_task(self._run(request))
            self._ledger.in_progress(len(self._running))

    async def _run(self, request: ModelRequest) -> None:
        try:
            outcome = await self._work(request)
        except asyncio.CancelledError:
            if not request.cancelled:
                raise
            outcome = request_error("client_cancelled")
        except Exception:
            # A runner that breaks ends its request, as at fal; what broke is ours to read.
            logger.exception("the runner of %s broke", request.request_id)
            outcome = request_error("runner_server_error")
        del self._running[request.request_id]
        self._end(request, outcome)
        self._advance()

    def _end(self, request: ModelRequest, outcome: Outcome) -> None:
        request.end(outcome)
        self._ended(request)

    def _too_late(self, request: ModelRequest) -> None:
        """X-Fal-Request-Timeout limits the time to the start, not the run."""
        if request in self._waiting:
            self._waiting.remove(request)
            self._end(request, request_error("request_timeout"))
