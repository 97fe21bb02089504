"""The real services, put together as everywhere, over ports that rehearse.

Left out of the model, because none of it decides anything about a job's life: the files that a
person reads (``Record.publish``), the events and the outbox they are told from, ``job.json``, the copies of deliveries, the datasets themselves
(they stay where they are), fal's prices, and the sweep of unfinished uploads. Copying one file is
one step: how a copy survives its own accidents is ``lora_drop.services.copy``'s business, and tested
there. The clock stands still; whether a deadline has passed is decided by what is read, see
``meanings.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, cast
from unittest.mock import patch

from lora_drop.adapters.signing_keys import verify_signature
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.services.copy import Copier, CopyRequest
from lora_drop.services.record import Record
from lora_drop.services.store import ResultStorer
from tests.resilience.model.bounds import Bounds, Role
from tests.resilience.model.fal import Webhook
from tests.resilience.model.rehearsal import Rehearsal
from tests.resilience.model.table import plain_rows
from tests.support.builders import NOW, SECRET
from tests.support.memory import MemoryDatasets
from tests.support.world import World as Assembly

PERSON = "a person"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one service: who is called, what for, and what with."""

    role: Role
    what: str
    about: str
    message: Webhook | None = None
    owner: str = ""  # the name that a store worker has for its leases

    def __str__(self) -> str:
        return f"{self.what} {self.message or self.about}".strip()


class _Unpublished(Record):
    """A Record whose files nobody reads and whose events nobody hears; that an end was told is kept."""

    __slots__ = ()

    def publish_files(self, job: Job) -> Job:
        self.close_when_settled(job)
        return job

    def close_when_settled(self, job: Job) -> None:
        if job.terminal:
            self.jobs.close(job)

    def publish_event(self, job: Job) -> bool:
        return bool(job)


class _Keeper(ResultStorer):
    """A Keeper that is told what came of a copy."""

    __slots__ = ()

    @property
    def _copier(self) -> Copier:
        source: Any = self.source
        return cast("Copier", source)


class _House(Assembly):
    @property
    def record(self) -> Record:
        return _Unpublished(self.jobs, self.results, self.events, self.clock)

    def keeper_named(self, owner: str) -> ResultStorer:
        """The store worker that has this name for its leases."""
        return _Keeper(
            self.record,
            self.results,
            self.source,
            self.fal,
            owner=lambda: owner,
            now=lambda: 0.0,
        )


class Houses:
    """The services of every rehearsal, over the same datasets."""

    def __init__(self, bounds: Bounds) -> None:
        self.limits = Limits(bounds.slots, monthly_usd=bounds.budget, job_usd=25.0)
        self.datasets = MemoryDatasets()
        self.versions: dict[str, DatasetVersion] = {}
        for number in range(bounds.jobs):
            steps = str(1000 if bounds.twins else 1000 + number)
            world = Assembly(datasets=self.datasets)
            dropped = world.drop(f"portrait/{'abc'[number]}.zip", metadata={"steps": steps})
            self.versions[dropped.key] = dropped
        self.datasets.came = dict.fromkeys(self.versions, NOW - timedelta(days=1))

    def play(self, call: Call, rehearsal: Rehearsal) -> object:
        """The call, over what its ports have answered so far."""
        return CALLS[call.what](self._house(rehearsal), call, self.versions)

    def _house(self, rehearsal: Rehearsal) -> _House:
        nothing: Callable[..., Any] = lambda *_, **__: None  # noqa: E731  # it is a port's answer
        return _House(
            jobs=rehearsal.port("jobs", bookmark=nothing, keep_bookmark=nothing, outbox=dict),
            datasets=self.datasets,
            results=rehearsal.port(
                "results", write=nothing, remove=nothing, abort=nothing, sweep=lambda **_: 0
            ),
            source=rehearsal.port("copier", copy=_copying(rehearsal)),
            fal=rehearsal.port("fal", price=nothing),
            queue=rehearsal.port("queue"),
            deliveries=rehearsal.port("deliveries", keep=nothing),
            limits=self.limits,
        )


def _copying(rehearsal: Rehearsal) -> Callable[[CopyRequest], object]:
    """What is copied where to; the notes that come with the order are the worker's own."""
    return lambda request: rehearsal.ask("copier", "copy", request.prefix, request.artifact)


@contextmanager
def rehearsing() -> Iterator[None]:
    """While this lasts, time stands still for the services, and a deadline is what the rows say."""
    known: dict[tuple[bytes, bytes, bytes], bool] = {}

    def verified(key: bytes, message: bytes, signature: bytes) -> bool:
        seen = key, message, signature
        if seen not in known:
            known[seen] = verify_signature(key, message, signature)
        return known[seen]

    with ExitStack() as stack:
        stack.enter_context(plain_rows())
        stack.enter_context(patch("tests.support.world.verify_signature", verified))
        yield


def _submit(house: _House, call: Call, versions: Mapping[str, DatasetVersion]) -> object:
    return house.submitter.submit_dataset(versions[call.about])


def _deliver(house: _House, call: Call, _: Mapping[str, DatasetVersion]) -> object:
    assert call.message
    headers, body = call.message.delivery()
    token = webhook_token(SECRET, call.message.to)
    return house.webhook_handler.deliver(call.about, token, headers, body)


def _decide(name: str) -> Callable[[_House, Call, Mapping[str, DatasetVersion]], object]:
    def decided(house: _House, call: Call, _: Mapping[str, DatasetVersion]) -> object:
        return getattr(house.manual_actions, name)(call.about, by=PERSON)

    return decided


def _accepted(house: _House, call: Call, _: Mapping[str, DatasetVersion]) -> object:
    job_id, request_id = call.about.split(" ")
    return house.manual_actions.accepted(job_id, request_id, by=PERSON)


CALLS: Mapping[str, Callable[[_House, Call, Mapping[str, DatasetVersion]], object]] = (
    MappingProxyType(
        {
            "submit": _submit,
            "deliver": _deliver,
            "store": lambda house, call, _: house.keeper_named(call.owner).store_result(call.about),
            "reconcile": lambda house, _, __: house.reconciler.reconcile(),
            "not submitted": _decide("not_submitted"),
            "approve": _decide("approve"),
            "cancel": _decide("cancel"),
            "accepted": _accepted,
            "retry": lambda house, call, _: house.retry_service.retry(
                call.about, resume=False, by=PERSON
            ),
        }
    )
)
