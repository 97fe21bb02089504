"""What can go wrong, each kind under one name for ever; and the choices that make one schedule.

Choices are drawn from a seed, written down, and made again from there.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

# What was decided other than nothing: by name, the how-manieth choice of that name, and the choice.
type Made = dict[str, dict[int, int]]


class Source(Protocol):
    def choose(self, name: str, number: int, options: int, likely: float) -> int:
        """One of so many options; 0 is nothing out of the ordinary, the rest ``likely`` together."""


class RandomSource:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret

    def choose(self, name: str, number: int, options: int, likely: float) -> int:  # noqa: ARG002  # a Source's shape
        if self._random.random() >= likely:
            return 0
        return self._random.randrange(1, options)


class ScriptedSource:
    """Choices that were made before; what is not in the script is nothing out of the ordinary.

    Each name has a count of its own, so that a change of the code moves as few choices as can be.
    """

    def __init__(self, made: Mapping[str, Mapping[int, int]]) -> None:
        self._made = made

    def choose(self, name: str, number: int, options: int, likely: float) -> int:  # noqa: ARG002  # a Source's shape
        """Return the choice of the script, at most the last option."""
        return min(self._made.get(name, {}).get(number, 0), options - 1)


class Decisions:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked: Counter[str] = Counter()
        self.made: Made = {}

    def below(self, name: str, options: int, *, likely: float | None = None) -> int:
        """Return a number below ``options``, other than 0 with the probability ``likely``."""
        number = self._asked[name]
        self._asked[name] += 1
        likely = 1 - 1 / options if likely is None else likely
        chosen = self._source.choose(name, number, options, likely) if options > 1 else 0
        if chosen:
            self.made.setdefault(name, {})[number] = chosen
        return chosen

    def happens(self, name: str, likely: float) -> bool:
        """Whether this happens; with a likelihood of 0 it is not even asked."""
        return likely > 0 and self.below(name, 2, likely=likely) == 1

    def pick[T](self, name: str, options: Sequence[T], *, likely: float | None = None) -> T:
        return options[self.below(name, len(options), likely=likely)]


def as_list(made: Made) -> list[tuple[str, int, int]]:
    return [(name, number, choice) for name in made for number, choice in made[name].items()]


def made_of(said: Sequence[Sequence[str | int]]) -> Made:
    made: Made = {}
    for name, number, choice in said:
        made.setdefault(str(name), {})[int(number)] = int(choice)
    return made


def shrunk(made: Made, still: Callable[[Made], bool], *, most: int = 2000) -> Made:
    """Return as few of these decisions as do ``still`` the same, after so many tries at the most."""
    choices, tries, before = as_list(made), 0, 0
    while len(choices) != before:
        before, size = len(choices), max(len(choices) // 2, 1)
        while size:
            at = 0
            while at < len(choices) and tries < most:
                fewer = choices[:at] + choices[at + size :]
                tries += 1
                if still(made_of(fewer)):
                    choices = fewer
                else:
                    at += size
            size //= 2
    return made_of(choices)


class Fault(StrEnum):
    # processes
    KILLED_BEFORE = "function killed before a call"
    KILLED_AFTER = "function killed after a call"
    TIMED_OUT = "function stopped by its timeout"
    INTERLEAVED = "another worker runs in the middle"
    SKEWED = "a worker's clock is off by up to 15 min"
    CLOCK_JUMPS = "the clock of all workers jumps"
    ROUND_LOST = "schedule tick lost"
    ROUND_DOUBLED = "schedule tick doubled"
    REGION_DOWN = "region down for 10 to 70 min"
    # DynamoDB
    TABLE_THROTTLED = "DynamoDB throttles"
    TABLE_FAILED = "DynamoDB answers 500"
    TABLE_LATE = "DynamoDB writes, and the answer is lost"
    TABLE_CONFLICT = "DynamoDB cancels a transaction"
    TABLE_STALE = "an index shows an older page"
    # S3
    BUCKET_SLOW = "S3 answers 503 Slow Down"
    BUCKET_FAILED = "S3 answers 500"
    BUCKET_LATE = "S3 writes, and the answer is lost"
    BUCKET_CONFLICT = "S3 answers 409 to a conditional write"
    EVENT_LOST = "S3 event lost"
    EVENT_DOUBLED = "S3 event doubled"
    EVENT_DELAYED = "S3 event late"
    # SQS
    QUEUE_FAILED = "SQS refuses a message"
    QUEUE_LATE = "SQS takes a message, and the answer is lost"
    MESSAGE_DOUBLED = "message delivered twice"
    MESSAGE_REORDERED = "messages out of order"
    MESSAGE_POISON = "poison message"
    BATCH = "several messages in one batch"
    # EventBridge
    EVENTS_FAILED = "EventBridge takes no event"
    EVENTS_LATE = "EventBridge takes an event, and the answer is lost"
    # datasets
    DATASET_INVALID = "dataset that cannot train"
    DATASET_AGAIN = "the same content dropped again"
    DATASET_OVERWRITTEN = "dataset overwritten"
    DATASET_DELETED = "dataset deleted"
    # submitting
    NOT_SENT = "POST not sent"
    REFUSED_HELD = "POST refused, a person can lift it"
    REFUSED = "POST refused for good"
    DOUBT_ACCEPTED = "answer to the POST lost, accepted"
    DOUBT_NOT_ACCEPTED = "answer to the POST lost, not accepted"
    BUDGET_EXHAUSTED = "budget exhausted"
    PAGE_429 = "fal's gateway refuses the POST with a page: 429"
    PAGE_403 = "a page in answer to the POST: 403"
    PAGE_503 = "a page in answer to the POST: 503"
    PAGE_302 = "a page in answer to the POST: 302"
    # training
    TRAINING_FAILED = "training fails, billed"
    TRAINING_FAILED_FREE = "training fails, not billed"
    DATASET_NOT_FETCHED = "fal cannot fetch the dataset"
    DATASET_NOT_FETCHED_BILLED = "fal cannot fetch the dataset, and bills it"
    TRAINING_CANCELLED = "training cancelled at fal"
    FAILURE_TAKEN_BACK = "fal sends a result after it called it a failure"
    RESULT_SHORT_LIVED = "fal keeps the result for 6 min"
    # webhooks
    WEBHOOK_LOST = "webhook never comes"
    WEBHOOK_DROPPED = "webhook lost on the way once"
    WEBHOOK_DOUBLED = "webhook doubled"
    WEBHOOK_LATE = "webhook late"
    WEBHOOK_EARLY = "webhook before our own write"
    WEBHOOK_EMPTY = "webhook without payload"
    WEBHOOK_STALE = "webhook with an old signature"
    WEBHOOK_GATEWAY_ID = "webhook signed with its gateway's request id"
    WEBHOOK_CAPITALS = "webhook with a signature in capitals"
    WEBHOOK_FORGED = "webhook with a forged signature"
    WEBHOOK_FOREIGN_USER = "webhook of another user of fal"
    WEBHOOK_WRONG_TOKEN = "webhook with a wrong token"
    WEBHOOK_WRONG_REQUEST = "webhook of another request"
    KEYS_UNAVAILABLE = "fal's signing keys unavailable"
    KEYS_PACKED = "fal's signing keys packed by a proxy"
    SECRET_UNAVAILABLE = "Secrets Manager unavailable"
    # asking fal
    ASK_UNAVAILABLE = "fal does not answer a check_status"
    ASK_DENIED = "fal denies a request that it has"
    RESULT_EARLY = "fal answers 202 for a result that is done"
    STATUS_NAMES_UNITS = "a state says that nothing was billed"
    LIST_UNAVAILABLE = "fal's request list unavailable"
    LIST_EMPTY = "fal's request list is behind"
    LIST_TWO = "fal's request list shows two matches"
    # downloading
    DOWNLOAD_CUT = "download cut"
    DOWNLOAD_MISSING = "CDN answers 404"
    FILES_LATE = "CDN answers 404 for minutes after the end"
    CDN_SLOW_WHOLE = "CDN slow and without ranges"
    DOWNLOAD_CHANGED = "file changes under the same address"
    DOWNLOAD_SLOW = "download slow"
    # persons
    PERSON_CANCELS = "a person cancels"
    PERSON_LATE = "a person decides on old news"


@dataclass
class Tally:
    """How often each kind struck, in how many schedules, and in how many that broke a promise."""

    injected: Counter[Fault] = field(default_factory=Counter)
    schedules: Counter[Fault] = field(default_factory=Counter)
    violations: Counter[Fault] = field(default_factory=Counter)

    def add(self, struck: Counter[Fault], *, violated: int) -> None:
        self.injected += struck
        for fault in struck:
            self.schedules[fault] += 1
            self.violations[fault] += violated


class Killed(BaseException):
    """The process ends here: no ``except Exception`` hears of it."""
