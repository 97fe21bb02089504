"""The real services, put together as everywhere, over ports that replay answers.

Left out of the model, because none of it decides anything about a job's life: the files that a
person reads (``Record.publish``), the events and their outbox, ``job.json``, the copies of deliveries, the datasets themselves
(they stay where they are), fal's prices, and the sweep of unfinished uploads. Copying one file is
one step: how a copy survives its own faults is ``lora_drop.services.copy``'s business, and tested
there. The clock stands still; whether a deadline has passed is decided by what is read, see
``meanings.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NoReturn, cast
from unittest.mock import patch

from lora_drop.adapters.signing_keys import verify_signature
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import DatasetUnreadableError
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.services.copy import Copier
from lora_drop.services.copy_attempt import CopyRequest
from lora_drop.services.latest import LatestLoras
from lora_drop.services.record import Record
from lora_drop.services.store import ResultStorer
from tests.resilience.model.replay import Replay
from tests.resilience.model.table import plain_rows
from tests.resilience.model.world import SHEET, Bounds, Role, Webhook
from tests.support.builders import NOW, SECRET
from tests.support.memory import MemoryDatasets
from tests.support.world import World as Assembly

PERSON = "a person"


@dataclass(frozen=True, slots=True)
class Call:
    role: Role
    what: str
    about: str
    message: Webhook | None = None
    owner: str = ""  # the name that a store worker has for its leases

    def __str__(self) -> str:
        return f"{self.what} {self.message or self.about}".strip()


class _Unpublished(Record):
    """A Record that publishes no files and no events; it only notes that an end was published."""

    __slots__ = ()

    def publish_files(self, job: Job) -> Job:
        self.close_when_settled(job)
        return job

    def has_settled(self, job: Job) -> bool:
        return bool(job)  # the clock stands still

    def publish(self, job: Job, *states: Job) -> None:
        assert all(each.job_id == job.job_id for each in states)
        self.publish_files(job)


class _NoLatest(LatestLoras):
    """The newest LoRAs of datasets, which are files and as such left out."""

    __slots__ = ()

    def before(self, job: Job) -> tuple[str, ...]:
        return job.earlier


class _Storer(ResultStorer):
    """A ResultStorer whose copies are answered by the model."""

    __slots__ = ()

    @property
    def _copier(self) -> Copier:
        source: Any = self.source
        return cast("Copier", source)


class _Services(Assembly):
    @property
    def record(self) -> Record:
        latest = _NoLatest(self.results)
        return _Unpublished(self.jobs, self.results, self.events, self.clock, latest=latest)

    def storer_named(self, owner: str) -> ResultStorer:
        return _Storer(
            self.record,
            self.results,
            self.source,
            self.fal,
            self.evidence,
            self.proof_orders,
            owner=lambda: owner,
            now=lambda: 0.0,
            kept=timedelta(0),  # the clock stands still
        )


class ServiceFactory:
    def __init__(self, bounds: Bounds) -> None:
        self.limits = Limits(bounds.slots, monthly_usd=bounds.budget, job_usd=25.0)
        self.datasets = MemoryDatasets()
        self.versions: dict[str, DatasetVersion] = {}
        for number in range(bounds.jobs):
            steps = str(1000 if bounds.duplicates else 1000 + number)
            world = Assembly(datasets=self.datasets)
            metadata = {"steps": steps, "proof": str(bounds.proof).lower()}
            dropped = world.drop(f"portrait/{'abc'[number]}.zip", metadata=metadata)
            self.versions[dropped.key] = dropped
        self.datasets.came = dict.fromkeys(self.versions, NOW - timedelta(days=1))

    def play(self, call: Call, replay: Replay) -> object:
        return CALLS[call.what](self._services(replay), call, self.versions)

    def _services(self, replay: Replay) -> _Services:
        nothing: Callable[..., Any] = lambda *_, **__: None  # noqa: E731  # it is a port's answer
        return _Services(
            jobs=replay.port("jobs", bookmark=nothing, keep_bookmark=nothing, outbox=dict),
            datasets=self.datasets,
            results=replay.port(
                "results",
                bucket="models",
                reader=_no_page,
                read=_no_page,
                write=nothing,
                remove=nothing,
                abort=nothing,
                sweep=lambda **_: 0,
                url=lambda stored, _: f"https://models.example/{stored.key}",
            ),
            source=replay.port("copier", copy=_copying(replay)),
            fal=replay.port("fal", price=nothing),
            queue=replay.port("queue"),
            deliveries=replay.port("deliveries", keep=nothing),
            limits=self.limits,
            pictures_of_a_sheet=1,
        )


def _copying(replay: Replay) -> Callable[[CopyRequest], object]:
    """What is copied where to; the notes that come with the order are the worker's own."""
    return lambda request: replay.ask("copier", "copy", request.prefix, request.artifact)


@contextmanager
def without_time() -> Iterator[None]:
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


def _submit(services: _Services, call: Call, versions: Mapping[str, DatasetVersion]) -> object:
    return services.submitter.submit_dataset(versions[call.about])


def _finish(services: _Services, call: Call, _: Mapping[str, DatasetVersion]) -> object:
    return services.proof_sheets.finish(call.about.removeprefix(SHEET))


def _deliver(services: _Services, call: Call, _: Mapping[str, DatasetVersion]) -> object:
    assert call.message
    headers, body = call.message.delivery()
    token = webhook_token(SECRET, call.message.to)
    return services.webhook_handler.deliver(call.about, token, headers, body)


def _decide(name: str) -> Callable[[_Services, Call, Mapping[str, DatasetVersion]], object]:
    def decided(services: _Services, call: Call, _: Mapping[str, DatasetVersion]) -> object:
        return getattr(services.manual_actions, name)(call.about, by=PERSON)

    return decided


def _accepted(services: _Services, call: Call, _: Mapping[str, DatasetVersion]) -> object:
    job_id, request_id = call.about.split(" ")
    return services.manual_actions.accepted(job_id, request_id, by=PERSON)


CALLS: Mapping[str, Callable[[_Services, Call, Mapping[str, DatasetVersion]], object]] = (
    MappingProxyType(
        {
            "submit": _submit,
            "finish": _finish,
            "deliver": _deliver,
            "store": lambda services, call, _: services.storer_named(call.owner).store_result(
                call.about
            ),
            "reconcile": lambda services, _, __: services.reconciler.reconcile(),
            "not submitted": _decide("not_submitted"),
            "approve": _decide("approve"),
            "cancel": _decide("cancel"),
            "accepted": _accepted,
            "retry": lambda services, call, _: services.retry_service.retry(
                call.about, resume=False, by=PERSON
            ),
        }
    )
)


def _no_page(*_: object) -> NoReturn:
    raise DatasetUnreadableError("no page")
