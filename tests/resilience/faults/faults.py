"""What can go wrong: each kind has one name for ever, and is counted whenever it strikes."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """The kinds of fault, in the order of the table."""

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
    # training
    TRAINING_FAILED = "training fails, billed"
    TRAINING_FAILED_FREE = "training fails, not billed"
    DATASET_NOT_FETCHED = "fal cannot fetch the dataset"
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
    WEBHOOK_FORGED = "webhook with a forged signature"
    WEBHOOK_FOREIGN_USER = "webhook of another user of fal"
    WEBHOOK_WRONG_TOKEN = "webhook with a wrong token"
    WEBHOOK_WRONG_REQUEST = "webhook of another request"
    KEYS_UNAVAILABLE = "fal's signing keys unavailable"
    SECRET_UNAVAILABLE = "Secrets Manager unavailable"
    # asking fal
    ASK_UNAVAILABLE = "fal does not answer a check_status"
    ASK_DENIED = "fal denies a request that it has"
    LIST_UNAVAILABLE = "fal's request list unavailable"
    LIST_EMPTY = "fal's request list is behind"
    LIST_TWO = "fal's request list shows two matches"
    # downloading
    DOWNLOAD_CUT = "download cut"
    DOWNLOAD_MISSING = "CDN answers 404"
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
