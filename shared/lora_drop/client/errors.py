"""The errors of the client; their messages are for people.

::

    LoraDropError
    ├── CommandError                   what was asked for cannot be done; the message says what to do
    │   ├── StackUnreachableError      there is no such stack, it does not answer, or it lets us not in
    │   ├── JobUnknownError            the stack has no such job (yet); a JobNotFoundError
    │   ├── JobErasedError             the job was forgotten; a JobNotFoundError
    │   ├── JobTimeoutError            the job is not at its end after the time that it was waited for
    │   └── JobHeldError               the job waits for a decision of a person
    │       └── OverBudgetError        it waits, because it costs more than the stack may spend
    ├── DatasetRejectedError           a dataset that cannot be trained on, with its report
    └── TrainingFailedError            a training that the caller waits for ended without a LoRA
"""

from lora_drop.jobs import errors
from lora_drop.jobs.errors import LoraDropError, PermanentError

SAID = 3  # kinds of problems that the text of a rejection has
TYPE_CHECKING = False  # type checkers take it for true; the command's help loads this module

if TYPE_CHECKING:
    from lora_drop.client.job_view import JobView
    from lora_drop.datasets.report import Estimate, Report
    from lora_drop.jobs.problems import Problem


class CommandError(LoraDropError):
    """Raised when a command cannot do what it was asked for; the message says what to do."""


class StackUnreachableError(CommandError):
    """Raised when a stack is not found or does not answer as a stack does."""


class JobUnknownError(CommandError, errors.JobNotFoundError):
    """Raised when the stack has no such job (yet)."""


class JobErasedError(CommandError, errors.JobForgottenError):
    """Raised when the stack has forgotten this job."""


class JobTimeoutError(CommandError, TimeoutError):
    """Raised when a job is not at its end after the time that it was waited for; the job goes on."""


class JobHeldError(CommandError):
    """Raised when a result is asked for and the job waits for a decision; ``job`` says which."""

    def __init__(self, message: str, job: "JobView") -> None:
        super().__init__(message)
        self.job = job


class OverBudgetError(JobHeldError, errors.OverBudgetError):
    """Raised when a job waits, because ``estimate`` is more than the stack may spend on it or in this month.

    ``estimate`` is None where the price is unknown, which the stack holds a job for as well.
    """

    def __init__(self, message: str, job: "JobView", estimate: "Estimate | None") -> None:
        super().__init__(message, job)
        self.estimate = estimate


class DatasetRejectedError(errors.DatasetRejectedError):
    """Raised when a dataset cannot be trained on; ``report`` says why, and nothing was paid.

    Its text has the first problems, which name files of the dataset; for a log there is ``code``.
    """

    def __init__(self, report: "Report") -> None:
        super().__init__(report.errors)
        self.report = report

    def __str__(self) -> str:
        """Return what is wrong, in sentences."""
        from lora_drop.client.method_advice import in_python  # noqa: PLC0415

        found: dict[str, list[Problem]] = {}
        for each in self.problems:
            found.setdefault(each.code, []).append(each)
        said = [_sentence(each[0], len(each) - 1) for each in list(found.values())[:SAID]]
        rest = len(found) - len(said)
        more = f" There are {rest} more kinds of problems: error.report" if rest else ""
        return in_python(
            f"The dataset cannot be trained on; nothing was paid. {' '.join(said)}{more}"
        )


def _sentence(problem: "Problem", others: int) -> str:
    return f"{problem.message}{f' ({others} more of this kind: error.report)' if others else ''}"


class TrainingFailedError(PermanentError):
    """Raised when a training ended without a LoRA.

    ``billed`` is None where that is not known. ``job`` is the stack's, None for a training without a stack.
    """

    def __init__(
        self,
        problem: "Problem",
        *,
        request_id: str | None,
        billed: bool | None,
        job: "JobView | None" = None,
    ) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.request_id = request_id
        self.billed = billed
        self.job = job

    @property
    def code(self) -> str:
        """The problem's code, which stays the same where its words change."""
        return self.problem.code
