"""What can go wrong, split by what helps.

::

    LoraDropError
    ├── Permanent               trying again cannot help: record it, drop the message, tell a person
    │   ├── RejectedDataset     the archive or its parameters break a rule; nothing was paid
    │   ├── DatasetUnreadable   the dataset is there and may not be read: a right or a key is missing
    │   ├── SubmissionRefused   fal said no, definitely, before anything was paid
    │   ├── ResultGone          fal no longer has the result of a finished request
    │   ├── ResultUnusable      fal has a result, and it is none that can be kept
    │   ├── ResultInvalid       a result file is there, and is not what its name says
    │   ├── BadDelivery         a webhook that is not fal's, or not of its form
    │   │   └── StaleDelivery   fal signed it, too long ago to be believed: a hint to ask fal
    │   ├── NothingToDecide     a person decides what is not, or no longer, theirs to decide
    │   │   └── Shared              a job that others share with is to be forgotten alone
    │   ├── ForeignRequest      a fact about a request that is not this job's
    │   ├── UnknownJob          no job has this id
    │   │   └── Forgotten           it had, and was erased: whatever comes for it is dropped
    │   ├── NotErasable         the store does not let go of what is to be erased
    │   └── BadQuery            a question about the jobs that is not of its form
    ├── Transient               the queue tries again
    │   ├── NotSubmitted        the POST never left: safe to send it later
    │   ├── TrainerUnavailable  fal did not answer a question; says nothing about the job
    │   ├── SigningKeysUnavailable  no key to verify a webhook with
    │   ├── DownloadInterrupted a result file did not arrive whole
    │   │   └── SourceChanged   it is another file now than the one that was opened
    │   ├── UploadGone          an unfinished copy is no more: begin it anew
    │   ├── Occupied            another file lies where a copy was to lie
    │   ├── ForeignHost         a result file lies on a host that is not on the list
    │   ├── NoSlot              as many trainings are at fal as the stack allows
    │   ├── EventsUnavailable   an event was not taken: it is told later
    │   ├── OverBudget          the month's money does not suffice for this training
    │   └── Conflict            somebody else changed the job first: read it again
    └── SubmissionUnknown       the POST may or may not have been accepted: only evidence decides
"""

from collections.abc import Sequence

from lora_drop.jobs.problems import Problem, codes_of, first_of


class LoraDropError(Exception):
    """The base of every error this project raises on purpose."""


class Permanent(LoraDropError):
    """Raised when trying again cannot help."""


class Transient(LoraDropError):
    """Raised when trying again later can help."""


class RejectedDataset(Permanent):
    """Raised when a dataset breaks a rule; ``problems`` holds what was found, 50 at the most.

    Its text is their codes alone: what they say names people's photos, and an error may get into a log.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = first_of(problems)
        super().__init__(", ".join(codes_of(self.problems)))


class DatasetUnreadable(Permanent):
    """Raised when a dataset is there and may not be read; a person can change that."""


class SubmissionRefused(Permanent):
    """Raised when fal definitely did not take a request; ``held`` when a person can lift the cause."""

    def __init__(self, problem: Problem, *, held: bool = False) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.held = held


class ResultGone(Permanent):
    """Raised when fal no longer keeps the result of a finished request."""


class ResultUnusable(Permanent):
    """Raised when what fal has for a finished request is a failure or names no file."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class ResultInvalid(Permanent):
    """Raised when a result file is not what its name says; ``flaw`` is a code, the message says it."""

    def __init__(self, flaw: str, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


class BadDelivery(Permanent):
    """Raised when a webhook delivery is not fal's or not for the job it names; says why."""


class StaleDelivery(BadDelivery):
    """Raised when fal signed a delivery more than five minutes ago, or ahead: a hint, not a fact.

    ``request_id`` and ``user_id`` are what was signed.
    """

    def __init__(self, message: str, *, request_id: str, user_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.user_id = user_id


class ForeignRequest(Permanent):
    """Raised when a fact speaks of another request than the one this job has at fal."""


class UnknownJob(Permanent):
    """Raised when no job has the given id."""


class NothingToDecide(Permanent):
    """Raised when a job does not wait for the decision that a person makes."""


class Forgotten(UnknownJob):
    """Raised when a job was forgotten, or is being erased; nothing may be written of it any more."""


class Shared(NothingToDecide):
    """Raised when a job is to be forgotten without those that share with it.

    ``jobs`` are their ids; ``why`` says what they share, without a full stop.
    """

    def __init__(self, job_id: str, jobs: Sequence[str], why: str) -> None:
        self.jobs = tuple(jobs)
        super().__init__(f"{why}. Forget all of them: lora-drop forget {job_id} --family")


class NotErasable(Permanent):
    """Raised when a store refuses to delete: a right is missing, or a hold is laid on the object."""


class BadQuery(Permanent, ValueError):
    """Raised when a question about the jobs is not of its form; says which part of it."""


class NotSubmitted(Transient):
    """Raised when a submission failed before its first byte could leave."""


class TrainerUnavailable(Transient):
    """Raised when fal does not answer a question, or not sensibly."""


class SigningKeysUnavailable(Transient):
    """Raised when there is no usable key to verify a webhook with."""


class DownloadInterrupted(Transient):
    """Raised when a result file did not arrive whole."""


class SourceChanged(DownloadInterrupted):
    """Raised when a file is read by ranges, and they are no longer of the file that was opened."""


class UploadGone(Transient):
    """Raised when an unfinished copy was ended by somebody, or is not taken as it is."""


class Occupied(Transient):
    """Raised when other bytes lie under the key that a copy was to lie under."""


class ForeignHost(Transient):
    """Raised when a result file lies where nothing is fetched from; a setting can change that."""


class NoSlot(Transient):
    """Raised when as many trainings are at fal as the stack allows."""


class OverBudget(Transient):
    """Raised when a training would cost more than is left of the month's budget."""


class EventsUnavailable(Transient):
    """Raised when the event bus does not take a change of a job; the change itself is kept."""


class Conflict(Transient):
    """Raised when the stored job is no longer the one that was read."""


class SubmissionUnknown(LoraDropError):
    """Raised when fal may or may not have accepted a request; nothing may be sent again."""
