"""An interceptor that lets calls go wrong: which faults a call can suffer, and what each of them does."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ReadTimeoutError

from lora_drop.fal.status import Gone
from lora_drop.jobs import errors
from lora_drop.jobs.problems import Problem
from lora_drop.ports import Page
from tests.resilience.faults import fal_wire
from tests.resilience.faults.effects import SECRET, Effect
from tests.resilience.faults.faults import Decisions, Fault, Killed

if TYPE_CHECKING:
    from tests.resilience.faults.schedule_harness import ScheduleHarness

# How long a call takes that takes too long; no function lives 15 minutes.
SLOW = {Fault.TIMED_OUT: timedelta(minutes=15), Fault.DOWNLOAD_SLOW: timedelta(seconds=100)}

TABLE = (Fault.TABLE_THROTTLED, Fault.TABLE_FAILED, Fault.TABLE_LATE)
BUCKET = (Fault.BUCKET_SLOW, Fault.BUCKET_FAILED, Fault.BUCKET_LATE)
QUEUE = (Fault.QUEUE_FAILED, Fault.QUEUE_LATE)
BY_PORT: dict[str, tuple[Fault, ...]] = {
    "JobStore": TABLE,
    "Bookmarks": TABLE,
    "DatasetStore": BUCKET,
    "DatasetListing": BUCKET,
    "RangedReader": BUCKET,
    "ResultStore": BUCKET,
    "CopyStore": BUCKET,
    "DeadLetters": QUEUE,
    "Events": (Fault.EVENTS_FAILED, Fault.EVENTS_LATE),
    "Prices": (),
    "Deliveries": BUCKET,
    "Inbox": QUEUE,
    "Handover": QUEUE,
    "SigningKeys": (Fault.KEYS_UNAVAILABLE,),  # of newer keys there are none, and no error
    "RequestHistory": (Fault.LIST_UNAVAILABLE, Fault.LIST_EMPTY, Fault.LIST_TWO),
    "FalClient": (Fault.ASK_UNAVAILABLE,),
    "ArtifactSource": (Fault.DOWNLOAD_CUT, Fault.DOWNLOAD_SLOW),
    "OpenArtifact": (Fault.DOWNLOAD_CUT, Fault.DOWNLOAD_SLOW, Fault.DOWNLOAD_CHANGED),
    SECRET: (Fault.SECRET_UNAVAILABLE,),
}
BY_CALL: dict[tuple[str, str], tuple[Fault, ...]] = {
    ("SigningKeys", "newer_keys"): (),
    ("JobStore", "add"): (*TABLE, Fault.TABLE_CONFLICT),
    ("JobStore", "replace"): (*TABLE, Fault.TABLE_CONFLICT),
    ("JobStore", "page"): (*TABLE, Fault.TABLE_STALE),
    ("FalClient", "submit"): (
        *(Fault.NOT_SENT, Fault.REFUSED_HELD, Fault.REFUSED),
        *(Fault.DOUBT_ACCEPTED, Fault.DOUBT_NOT_ACCEPTED, Fault.WEBHOOK_EARLY),
    ),
    ("FalClient", "ask"): (Fault.ASK_UNAVAILABLE, Fault.ASK_DENIED),
    ("RequestHistory", "stored_result"): (Fault.LIST_UNAVAILABLE,),
    ("CopyStore", "put"): (*BUCKET, Fault.BUCKET_CONFLICT),
    ("CopyStore", "complete"): (*BUCKET, Fault.BUCKET_CONFLICT),
    ("ArtifactSource", "open.enter"): (Fault.DOWNLOAD_CUT, Fault.DOWNLOAD_MISSING),
}
# After those before them, whose numbers stand in schedules that are kept.
BY_CALL_LATER: dict[tuple[str, str], tuple[Fault, ...]] = {
    ("FalClient", "ask"): (Fault.RESULT_EARLY, Fault.STATUS_NAMES_UNITS),
    ("FalClient", "submit"): (Fault.PAGE_429, Fault.PAGE_403, Fault.PAGE_503, Fault.PAGE_302),
    ("SigningKeys", "keys"): (Fault.KEYS_PACKED,),
}
PAGES = {Fault.PAGE_429: 429, Fault.PAGE_403: 403, Fault.PAGE_503: 503, Fault.PAGE_302: 302}
ON_THE_WIRE = frozenset(
    {Fault.RESULT_EARLY, Fault.STATUS_NAMES_UNITS, Fault.KEYS_PACKED} | PAGES.keys()
)
OTHER_ANSWERS = frozenset({Fault.LIST_EMPTY, Fault.LIST_TWO, Fault.TABLE_STALE, Fault.ASK_DENIED})
DEATHS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER, Fault.TIMED_OUT)
# What is rare in a life and interesting strikes more often than the rate of the rest.
OFTEN: dict[tuple[str, str], float] = {
    ("FalClient", "submit"): 0.25,
    ("RequestHistory", "requests_for"): 0.25,
    ("ArtifactSource", "open.enter"): 0.1,
    ("SigningKeys", "keys"): 0.05,
    ("OpenArtifact", "read"): 0.05,
    ("CopyStore", "complete"): 0.1,
    ("JobStore", "page"): 0.5,
    (SECRET, "webhook_secret"): 0.05,
    ("FalClient", "ask"): 0.15,
}
HELD = Problem(code="fal_payment_required", message="fal asks for payment.")
REFUSED = Problem(code="fal_invalid_input", message="fal refused the parameters.")


class FaultInjector:
    def __init__(self, decisions: Decisions, *, rate: float) -> None:
        self.decisions = decisions
        self.rate = rate
        self.calm = False
        self.struck: Counter[Fault] = Counter()
        self.around: ScheduleHarness | None = None
        self._pages: dict[object, Any] = {}
        self._denied: set[str] = set()
        self._early: Counter[str] = Counter()  # so often a result is still not there

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        if self.calm:
            return call()
        assert self.around is not None
        self.around.pause(effect)
        at = (effect.port, effect.method)
        suffers = (*BY_CALL.get(at, BY_PORT.get(effect.port, ())), *DEATHS)
        suffers += BY_CALL_LATER.get(at, ())
        fault = self.decisions.pick(
            f"{self.around.who}: {effect.port}.{effect.method}",
            (None, *suffers),
            likely=max(self.rate, OFTEN.get(at, 0.0) if self.rate else 0.0),
        )
        if fault is None and at == ("FalClient", "ask") and self._early[effect.arguments[-1]]:
            self._early[effect.arguments[-1]] -= 1
            fault = Fault.RESULT_EARLY
        if fault is None:
            return call()
        self.strike(fault)
        return self.suffer(fault, effect, call)

    def strike(self, fault: Fault) -> None:
        self.struck[fault] += 1

    def suffer[R](self, fault: Fault, effect: Effect, call: Callable[[], R]) -> R:
        assert self.around is not None
        if error := _before(fault, effect):
            raise error
        if fault in ON_THE_WIRE:
            said: R = self._on_the_wire(fault, effect)
            return said
        if fault in OTHER_ANSWERS:
            other: R = self._otherwise(fault, effect, call)
            return other
        if fault is Fault.DOWNLOAD_CHANGED:
            self.around.change_servers()
        answer = call()
        if fault in SLOW:
            self.around.spend(SLOW[fault])
        if fault is Fault.WEBHOOK_EARLY:
            self.around.webhook_now()
        if error := _after(fault, effect):
            raise error
        return answer

    def _on_the_wire(self, fault: Fault, effect: Effect) -> Any:
        """fal's own words, which the real adapters read."""
        assert self.around is not None
        if fault is Fault.KEYS_PACKED:
            return self._borne(fault, partial(fal_wire.packed_keys, self.around.clock()))
        if fault in PAGES:
            return self._page(fault, effect)
        if fault is Fault.STATUS_NAMES_UNITS:
            return fal_wire.ask(self.around.fal, *effect.arguments, units="0")
        self._early[effect.arguments[-1]] += self.decisions.below("early again", 4)
        return fal_wire.ask(self.around.fal, *effect.arguments, early=True)

    def _otherwise(self, fault: Fault, effect: Effect, call: Callable[[], Any]) -> Any:
        assert self.around is not None
        match fault:
            case Fault.LIST_TWO:
                found = call()
                # Two, and not one that is wrong: no one else can send the address of this very attempt.
                two = found and self.around.everything_is_listed()
                return [*found, "another-request-for-the-same-dataset"] if two else found
            case Fault.ASK_DENIED:
                fact = call()
                if fact.request_id in self._denied:
                    return fact  # fal's word counts when it says so twice
                self._denied.add(fact.request_id)
                return Gone(fact.request_id)
            case Fault.TABLE_STALE:
                older = self._pages.get(effect.method, Page((), None))
                self._pages[effect.method] = call()
                return older
            case _:
                return ()

    def _page(self, fault: Fault, effect: Effect) -> Any:
        """A gateway's page in answer to the POST; but for 429 it proves nothing."""
        assert self.around is not None
        accepted = fault is not Fault.PAGE_429 and self.decisions.happens("behind the page", 0.5)
        send = partial(fal_wire.submit, self.around.fal, fal_wire.page(PAGES[fault]))
        try:
            return send(effect.arguments, accepted=accepted, **effect.named)
        except errors.SubmissionUnknownError:
            if fault is Fault.PAGE_429:
                self.around.violated("a POST that was refused with 429 is in doubt")
            raise

    def _borne[R](self, fault: Fault, call: Callable[[], R]) -> R:
        """What a call gives in spite of this fault."""
        assert self.around is not None
        try:
            return call()
        except errors.LoraDropError as error:
            self.around.violated(f"{fault}: {error}")
            raise


def trouble(effect: Effect, *, after: bool) -> BaseException:
    if effect.method == "submit":
        return errors.SubmissionUnknownError("the answer was lost")
    by_port = BY_PORT.get(effect.port, ())
    late = next((fault for fault in by_port if fault.name.endswith("_LATE")), None)
    if after and late:
        return _after(late, effect) or Killed()
    for fault in by_port:
        if error := _before(fault, effect):
            return error
    return Killed()


def _aws(code: str) -> Callable[[Effect], BaseException]:
    error: Any = {"Error": {"Code": code, "Message": "on purpose"}}
    return lambda effect: ClientError(error, effect.method)


def _ours(error: type[Exception], words: str = "on purpose") -> Callable[[Effect], BaseException]:
    return lambda _: error(words)


# The errors of a call that did not happen.
REFUSALS: Mapping[Fault, Callable[[Effect], BaseException]] = {
    Fault.KILLED_BEFORE: lambda _: Killed(),
    Fault.TABLE_THROTTLED: _aws("ThrottlingException"),
    Fault.TABLE_FAILED: _aws("InternalServerError"),
    Fault.TABLE_CONFLICT: _ours(errors.ConflictError),
    Fault.BUCKET_SLOW: _aws("SlowDown"),
    Fault.BUCKET_FAILED: _aws("InternalError"),
    Fault.BUCKET_CONFLICT: _ours(errors.UploadGoneError),
    Fault.QUEUE_FAILED: _aws("InternalError"),
    Fault.EVENTS_FAILED: _ours(errors.EventsUnavailableError),
    Fault.NOT_SENT: _ours(errors.NotSubmittedError),
    Fault.REFUSED_HELD: lambda _: errors.SubmissionRefusedError(HELD, held=True),
    Fault.REFUSED: lambda _: errors.SubmissionRefusedError(REFUSED),
    Fault.DOUBT_NOT_ACCEPTED: _ours(errors.SubmissionUnknownError),
    Fault.ASK_UNAVAILABLE: _ours(errors.FalUnavailableError),
    Fault.LIST_UNAVAILABLE: _ours(errors.FalUnavailableError),
    Fault.SECRET_UNAVAILABLE: _ours(errors.FalUnavailableError),
    Fault.KEYS_UNAVAILABLE: _ours(errors.SigningKeysUnavailableError),
    Fault.DOWNLOAD_CUT: _ours(errors.DownloadInterruptedError),
    Fault.DOWNLOAD_MISSING: _ours(errors.ResultGoneError),
}


def _before(fault: Fault, effect: Effect) -> BaseException | None:
    refusal = REFUSALS.get(fault)
    return refusal(effect) if refusal else None


def _after(fault: Fault, effect: Effect) -> BaseException | None:
    match fault:
        case Fault.KILLED_AFTER:
            return Killed()
        case Fault.TABLE_LATE | Fault.BUCKET_LATE | Fault.QUEUE_LATE:
            return ReadTimeoutError(endpoint_url=f"https://{effect.port}.example")
        case Fault.EVENTS_LATE:
            return errors.EventsUnavailableError("on purpose")
        case Fault.DOUBT_ACCEPTED:
            return errors.SubmissionUnknownError("ReadTimeout after the request left")
        case _:
            return None
