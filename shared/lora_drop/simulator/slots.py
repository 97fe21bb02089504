"""Who runs and who waits: so many requests are in progress at once, the rest in order of arrival."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from lora_drop.simulator.errors import Outcome, request_error
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.requests import ModelRequest, Status

logger = logging.getLogger(__name__)


class Slots:
    """fal's concurrency limit: it counts only what is in progress, and never refuses."""

    def __init__(
        self,
        limit: int,
        *,
        ledger: Ledger,
        work: Callable[[ModelRequest], Coroutine[Any, Any, Outcome]],
        ended: Callable[[ModelRequest], None],
    ) -> None:
        self._limit = limit
        self._ledger = ledger
        self._work = work
        self._ended = ended
        self._waiting: list[ModelRequest] = []
        self._running: dict[str, asyncio.Task[Outcome]] = {}

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
            request.units_told = False  # no runner has counted any
            self._end(request, request_error("client_cancelled"))
        elif task := self._running.get(request.request_id):
            task.cancel()

    async def close(self) -> None:
        """Stop every runner; what waits is forgotten."""
        self._waiting.clear()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _advance(self) -> None:
        while self._waiting and len(self._running) < self._limit:
            request = self._waiting.pop(0)
            request.start()
            task = self._running[request.request_id] = asyncio.create_task(self._work(request))
            # Not the end of a coroutine: what is cancelled before its first step runs none of it.
            task.add_done_callback(partial(self._finish, request))
            self._ledger.in_progress(len(self._running))

    def _finish(self, request: ModelRequest, task: asyncio.Task[Outcome]) -> None:
        del self._running[request.request_id]
        if task.cancelled():
            if not request.cancelled:
                return  # the simulator stops
            outcome = request_error("client_cancelled")
        elif error := task.exception():
            # A runner that breaks ends its request, as at fal; what broke is ours to read.
            logger.error("the runner of %s broke", request.request_id, exc_info=error)
            outcome = request_error("runner_server_error")
        else:
            request.cancelled = False  # the call to cancel it came too late
            outcome = task.result()
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
