"""lora-drop's own services in a World, over the real adapters for fal, its list and its CDN."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
from nacl.signing import SigningKey

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.artifacts import WEIGHTS
from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.status import Status
from tests.resilience.comparison.accidents import Ending, Killed, raising, right_after
from tests.support.builders import KEY, signed
from tests.support.fal_answers import API, CDN, Post
from tests.support.outcome import ThrottledError
from tests.support.wire import FixedKey
from tests.support.world import World

if TYPE_CHECKING:
    from tests.support.memory import MemoryFal
    from tests.support.memory_files import MemorySource

VISIBILITY = timedelta(minutes=6)
ROUND = timedelta(minutes=10)
RECEIVES = 5  # the template's maxReceiveCount
STRANGER = SigningKey(bytes(32))


class Fal(FalQueueClient):
    """The trainer and its list of requests, as the functions have them."""

    def __init__(self) -> None:
        super().__init__(FixedKey())
        history = FalHistory(FixedKey(), f"https://{API}/v1")
        self.requests_for = history.requests_for
        self.stored_result = history.stored_result

    def price(self, _: str) -> Price | None:
        return None


class Ours:
    """SQS → submit → one POST; webhook → SQS → store; a round of the reconciler now and then."""

    name = "lora-drop"
    lifetime = timedelta(minutes=1)  # the template's; nothing depends on it

    def drop(self, timeout: httpx.Timeout) -> None:
        self._timeout = timeout
        self.world = World(
            fal=cast("MemoryFal", Fal()),
            source=cast(
                "MemorySource", CdnFiles(["fal.media"], network=CheckedNetwork(private=True))
            ),
        )
        self._dataset = self.world.drop()

    def arrive(self) -> None:
        """The inbox queue delivers until the message is done with, or in the dead-letter queue."""
        self._receive(partial(self.world.submit, self._dataset))
        self._work()

    def pass_time(self, span: timedelta) -> None:
        self.world.clock.now += span

    def call_back(self, post: Post, body: bytes, *, forged: bool = False) -> bool:
        """A stranger who forges one knows the whole address, but not fal's key."""
        job_id, token = urlsplit(post.webhook_url).path.rsplit("/", 2)[-2:]
        headers = signed(
            body,
            request_id=post.request_id or "",
            at=self.world.clock(),
            key=STRANGER if forged else KEY,
        )
        try:
            self.world.webhook_handler.deliver(job_id, token, headers, body)
        except LoraDropError:
            return False
        self._work()
        return True

    def failing_write(self) -> AbstractContextManager[None]:
        """What the POST led to cannot be written, once."""
        real, pending = self.world.jobs.replace, [ThrottledError()]

        def replace(before: Any, after: Any, **more: Any) -> None:
            if pending and after.status is Status.SUBMITTED:
                raise pending.pop()
            real(before, after, **more)

        return _replaced(self.world.jobs, "replace", replace)

    def dying_copy(self) -> AbstractContextManager[None]:
        """The store function dies over the first file."""
        return right_after("GET", CDN, raising(Killed))

    def whole_copy(self) -> AbstractContextManager[None]:
        return nullcontext()

    def recover(self) -> None:
        for _ in range(3):
            self.pass_time(ROUND)
            self.world.reconciler.reconcile()
            self._work()

    def ending(self, _: Sequence[Post]) -> Ending:
        [job] = self.world.jobs.rows.values()
        return Ending(
            known=frozenset({job.request_id} if job.request_id else ()),
            says=str(job.status),
            weights=self.world.results.files.get(job.prefix + WEIGHTS),
            done=job.status is Status.SUCCEEDED,
            notified=job.troubled,
        )

    def _work(self) -> None:
        queue = self.world.queue
        for dataset in _taken(queue.datasets):
            self._receive(partial(self.world.submit, dataset))
        for job_id in _taken(queue.handed):
            self._receive(partial(self.world.result_storer.store_result, job_id))

    def _receive(self, work: Callable[[], object]) -> None:
        """A message that is not done with is seen again after a while, five times in all."""
        for _ in range(RECEIVES):
            try:
                with patch("lora_drop.adapters.fal.SUBMIT_TIMEOUT", self._timeout):
                    work()
            except (LoraDropError, ThrottledError, Killed):
                self.pass_time(VISIBILITY)
            else:
                return


def _taken[T](messages: list[T]) -> list[T]:
    taken = list(messages)
    messages.clear()
    return taken


@contextmanager
def _replaced(owner: object, name: str, by: Callable[..., object]) -> Iterator[None]:
    with patch.object(owner, name, by):
        yield
