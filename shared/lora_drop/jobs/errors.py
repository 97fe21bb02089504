"""What can go wrong, split by what helps.

::

    LoraDropError
    ├── PermanentError                     trying again cannot help: record it, drop the message, tell a person
    │   ├── DatasetRejectedError           the archive or its parameters break a rule; nothing was paid
    │   ├── DatasetUnreadableError         the dataset is there and may not be read: a right or a key is missing
    │   ├── SubmissionRefusedError         fal said no, definitely, before anything was paid
    │   ├── ResultGoneError                fal no longer has the result of a finished request
    │   ├── ResultUnusableError            fal has a result, and it is none that can be kept
    │   ├── ResultInvalidError             a result file is there, and is not what its name says
    │   ├── InvalidWebhookError            a webhook that is not fal's, or not of its form
    │   │   ├── InvalidSignatureError      the same, for a program that receives fal's webhooks itself
    │   │   └── StaleWebhookError          fal signed it, too long ago to be believed: a hint to ask fal
    │   ├── ActionNotAllowedError          a person decides what is not, or no longer, theirs to decide
    │   │   └── SharedJobError             a job that others share with is to be forgotten alone
    │   ├── ForeignRequestError            a fact about a request that is not this job's
    │   ├── DatasetNotFoundError           nothing lies where a dataset is said to lie
    │   ├── OrderConflictError             an Idempotency-Key stands for another order already
    │   ├── JobNotFoundError               no job has this id
    │   │   └── JobForgottenError          it had, and was erased: whatever comes for it is dropped
    │   ├── FacesBrokenError               what looks for faces in a picture, or compares them, broke: go on without
    │   ├── NotErasableError               the store does not let go of what is to be erased
    │   ├── InvalidSecretError             what is to verify our webhooks is no secret of them
    │   └── InvalidQueryError              a question about the jobs that is not of its form
    ├── TransientError                     the queue tries again
    │   ├── NotSubmittedError              the POST never left: safe to send it later
    │   │   └── ThrottledError             fal took no more requests: safe to send it after a pause
    │   ├── FalUnavailableError            fal did not answer a question; says nothing about the job
    │   │   └── ResultUnreadableError      fal calls a request done, and its result cannot be read (yet)
    │   ├── SigningKeysUnavailableError    no key to verify a webhook with
    │   ├── DownloadInterruptedError       a result file did not arrive whole
    │   │   ├── SourceChangedError         it is another file now than the one that was opened
    │   │   └── DownloadTimeoutError       it takes longer than there is time for
    │   ├── UploadGoneError                an unfinished copy is gone: begin it again
    │   ├── KeyOccupiedError               another file lies where a copy was to lie
    │   ├── HostNotAllowedError            a result file lies on a host that is not on the list
    │   ├── ReceiverUnavailableError       a receiver of our webhooks did not answer
    │   │   └── ForeignCertificateError    its certificate is none for its name, or not of a trusted authority
    │   ├── NoSlotError                    as many trainings are at fal as the stack allows
    │   ├── EventsUnavailableError         an event was not taken: it is published later
    │   ├── OverBudgetError                the month's money does not suffice for this training
    │   │   └── BalanceTooLowError         fal's balance does not
    │   └── ConflictError                  another writer changed the job first: read it again
    └── SubmissionUnknownError             the POST may or may not have been accepted: only evidence decides

What a program that uses the library sees besides: ``lora_drop.client.errors``.
"""

from collections.abc import Sequence

TYPE_CHECKING = (
    False  # type checkers take it for true; errors are caught where models are not loaded yet
)

if TYPE_CHECKING:
    from typing import Any

    from lora_drop.jobs.problems import Problem


class LoraDropError(Exception):
    """The base of every error this project raises on purpose. Each can be pickled, with its attributes."""

    def __reduce__(self) -> "tuple[Any, ...]":
        """Return what makes the same error again; Exception's own would call ``__init__`` with the text."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[LoraDropError], args: "tuple[Any, ...]", attributes: "dict[str, Any]"
) -> LoraDropError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class PermanentError(LoraDropError):
    """Raised when trying again cannot help."""


class TransientError(LoraDropError):
    """Raised when trying again later can help."""


class FacesBrokenError(PermanentError):
    """Raised when what looks for faces, or compares them, breaks, whatever it raises; that is the cause."""


class DatasetRejectedError(PermanentError):
    """Raised when a dataset breaks a rule; ``problems`` holds what was found, 50 at the most.

    Its text is their codes alone: what they say names people's photos, and an error may get into a log.
    """

    def __init__(self, problems: "Sequence[Problem]") -> None:
        from lora_drop.jobs.problems import codes_of, first_of  # noqa: PLC0415

        self.problems = first_of(problems)
        super().__init__(", ".join(codes_of(self.problems)))

    @property
    def code(self) -> str:
        """The code of the first problem, which stays the same where its words change."""
        return self.problems[0].code if self.problems else ""


class DatasetUnreadableError(PermanentError):
    """Raised when a dataset is there and may not be read; a person can change that."""


class SubmissionRefusedError(PermanentError):
    """Raised when fal definitely did not take a request; ``held`` when a person can lift the cause.

    Its text is the code alone in a stack, whose errors get into its log; ``to_caller``: the sentence.
    """

    def __init__(self, problem: "Problem", *, held: bool = False, to_caller: bool = False) -> None:
        sentence = (
            f"{problem.message.rstrip('.')}. Nothing was paid: mend that and run the same again."
        )
        super().__init__(sentence if to_caller else problem.code)
        self.problem = problem
        self.held = held

    @property
    def code(self) -> str:
        """Its code, which stays the same where its words change."""
        return self.problem.code


class ResultGoneError(PermanentError):
    """Raised when fal no longer keeps the result of a finished request."""


class ResultUnusableError(PermanentError):
    """Raised when what fal has for a finished request is a failure or names no file."""

    def __init__(self, problem: "Problem") -> None:
        super().__init__(problem.code)
        self.problem = problem


class ResultInvalidError(PermanentError):
    """Raised when a result file is not what its name says; ``flaw`` is a code, the message says it."""

    def __init__(self, flaw: str, message: str) -> None:
        super().__init__(message)
        self.flaw = flaw


class InvalidWebhookError(PermanentError):
    """Raised when a webhook delivery is not fal's or not for the job it names; says why."""


class InvalidSignatureError(InvalidWebhookError):
    """Raised by ``lora_drop.webhooks.unwrap`` for a delivery of which nothing may be used; says why."""


class StaleWebhookError(InvalidWebhookError):
    """Raised when fal signed a delivery more than five minutes ago, or ahead: a hint, not a fact.

    ``request_id`` and ``user_id`` are what was signed.
    """

    def __init__(self, message: str, *, request_id: str, user_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.user_id = user_id


class ForeignRequestError(PermanentError):
    """Raised when a fact speaks of another request than the one this job has at fal."""


class DatasetNotFoundError(PermanentError):
    """Raised when nothing lies under the key of a dataset, or it has no such version."""


class OrderConflictError(PermanentError):
    """Raised when an order has the Idempotency-Key of another one."""


class JobNotFoundError(PermanentError):
    """Raised when no job has the given id."""


class ActionNotAllowedError(PermanentError):
    """Raised when a job does not wait for the decision that a person makes."""


class JobForgottenError(JobNotFoundError):
    """Raised when a job was forgotten, or is being erased; nothing may be written of it any more."""


class SharedJobError(ActionNotAllowedError):
    """Raised when a job is to be forgotten without those that share with it.

    ``jobs`` are their ids; ``why`` says what they share, without a full stop.
    """

    def __init__(self, job_id: str, jobs: Sequence[str], why: str) -> None:
        self.jobs = tuple(jobs)
        super().__init__(f"{why}. Forget all of them: lora-drop forget {job_id} --family")


class NotErasableError(PermanentError):
    """Raised when a store refuses to delete: a right is missing, or a hold is laid on the object."""


class InvalidSecretError(PermanentError, ValueError):
    """Raised when what is to sign or verify webhooks is no secret of them; its text does not hold it."""


class InvalidQueryError(PermanentError, ValueError):
    """Raised when a question about the jobs is not of its form; says which part of it."""


class NotSubmittedError(TransientError):
    """Raised when a submission failed before its first byte could leave."""


class ThrottledError(NotSubmittedError):
    """Raised when fal answered that it takes no more requests now (429)."""


class FalUnavailableError(TransientError):
    """Raised when fal does not answer a question, or not sensibly."""


class KeyRefusedError(FalUnavailableError):
    """Raised when fal does not let this key read (401, 403)."""


class ResultUnreadableError(FalUnavailableError):
    """Raised when fal calls a request done, and its result cannot be read, now or for longer."""


class SigningKeysUnavailableError(TransientError):
    """Raised when there is no usable key to verify a webhook with."""


class DownloadInterruptedError(TransientError):
    """Raised when a result file did not arrive whole."""


class SourceChangedError(DownloadInterruptedError):
    """Raised when a file is read by ranges, and they are no longer of the file that was opened."""


class DownloadTimeoutError(DownloadInterruptedError):
    """Raised when a file takes longer than one run has time for; the next may go on with it."""


class UploadGoneError(TransientError):
    """Raised when an unfinished copy was ended elsewhere, or S3 does not accept it as it is."""


class KeyOccupiedError(TransientError):
    """Raised when other bytes lie under the key that a copy was to lie under."""


class HostNotAllowedError(TransientError):
    """Raised when a result file lies where nothing is fetched from; a setting can change that."""


class ReceiverUnavailableError(TransientError):
    """Raised when a receiver of our webhooks did not answer; its text is the name of what happened."""


class ForeignCertificateError(ReceiverUnavailableError):
    """Raised when a receiver's certificate is for another name, has run out, or is of no trusted authority."""


class NoSlotError(TransientError):
    """Raised when as many trainings are at fal as the stack allows."""


class OverBudgetError(TransientError):
    """Raised when a training would cost more than is left of the month's budget."""


class BalanceTooLowError(OverBudgetError):
    """Raised when fal's balance, less what trainings at fal will take of it, does not suffice for a training."""

    def __init__(self, balance_usd: float, reserved_usd: float) -> None:
        super().__init__(f"{balance_usd:.2f}")
        self.balance_usd = balance_usd
        self.reserved_usd = reserved_usd


class EventsUnavailableError(TransientError):
    """Raised when the event bus does not take a change of a job; the change itself is kept."""


class ConflictError(TransientError):
    """Raised when the stored job is no longer the one that was read."""


class SubmissionUnknownError(LoraDropError):
    """Raised when fal may or may not have accepted a request; nothing may be sent again."""
