"""Drop a dataset ZIP into an S3 bucket; get a trained portrait LoRA in another.

The public names are loaded on first use, so that ``import lora_drop`` costs next to nothing.
"""

TYPE_CHECKING = False  # type checkers take it for true; typing would cost half of an empty Python

if TYPE_CHECKING:
    from lora_drop import webhooks
    from lora_drop.client.async_job import AsyncJob, AsyncJobResult
    from lora_drop.client.async_lora_drop import AsyncLoraDrop
    from lora_drop.client.async_portrait_trainer import AsyncPortraitTrainer
    from lora_drop.client.comparison import Comparison
    from lora_drop.client.differences import JobChanges, JobSummary, PhotoChanges
    from lora_drop.client.direct_errors import InsufficientImagesError, InvalidArchiveError
    from lora_drop.client.errors import (
        CommandError,
        DatasetRejectedError,
        JobHeldError,
        JobTimeoutError,
        OverBudgetError,
        StackUnreachableError,
        TrainingFailedError,
    )
    from lora_drop.client.events import (
        Ended,
        Held,
        JobEvent,
        Log,
        Queued,
        StackAnswers,
        StackUnreachable,
        StatusChanged,
        Stored,
        Training,
        Waiting,
    )
    from lora_drop.client.history import HistoryEntry
    from lora_drop.client.job import Job, JobFile, JobResult
    from lora_drop.client.job_view import JobView
    from lora_drop.client.lora_drop import LoraDrop
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.datasets.report import Estimate, Report
    from lora_drop.jobs.artifacts import StoredFile
    from lora_drop.jobs.errors import (
        FalUnavailableError,
        InvalidSignatureError,
        JobNotFoundError,
        LoraDropError,
        NotSubmittedError,
        ResultGoneError,
        ResultUnreadableError,
        SigningKeysUnavailableError,
        SubmissionRefusedError,
        SubmissionUnknownError,
    )
    from lora_drop.jobs.problems import Problem
    from lora_drop.jobs.status import Status

__version__ = "0.1.0"
__all__ = [
    "AsyncJob",
    "AsyncJobResult",
    "AsyncLoraDrop",
    "AsyncPortraitTrainer",
    "CommandError",
    "Comparison",
    "DatasetRejectedError",
    "Ended",
    "Estimate",
    "FalUnavailableError",
    "Held",
    "HistoryEntry",
    "InsufficientImagesError",
    "InvalidArchiveError",
    "InvalidSignatureError",
    "Job",
    "JobChanges",
    "JobEvent",
    "JobFile",
    "JobHeldError",
    "JobNotFoundError",
    "JobResult",
    "JobSummary",
    "JobTimeoutError",
    "JobView",
    "Log",
    "LoraDrop",
    "LoraDropError",
    "NotSubmittedError",
    "OverBudgetError",
    "PhotoChanges",
    "PortraitTrainer",
    "Problem",
    "Queued",
    "Report",
    "ResultGoneError",
    "ResultUnreadableError",
    "SigningKeysUnavailableError",
    "StackAnswers",
    "StackUnreachable",
    "StackUnreachableError",
    "Status",
    "StatusChanged",
    "Stored",
    "StoredFile",
    "SubmissionRefusedError",
    "SubmissionUnknownError",
    "Training",
    "TrainingFailedError",
    "Waiting",
    "__version__",
    "webhooks",
]
_NAMES = {
    "lora_drop.client.async_job": (
        "AsyncJob",
        "AsyncJobResult",
    ),
    "lora_drop.client.async_lora_drop": ("AsyncLoraDrop",),
    "lora_drop.client.async_portrait_trainer": ("AsyncPortraitTrainer",),
    "lora_drop.client.comparison": ("Comparison",),
    "lora_drop.client.differences": ("JobChanges", "JobSummary", "PhotoChanges"),
    "lora_drop.client.direct_errors": ("InsufficientImagesError", "InvalidArchiveError"),
    "lora_drop.client.errors": (
        "CommandError",
        "DatasetRejectedError",
        "JobHeldError",
        "JobTimeoutError",
        "OverBudgetError",
        "StackUnreachableError",
        "TrainingFailedError",
    ),
    "lora_drop.client.events": (
        "Ended",
        "Held",
        "JobEvent",
        "Log",
        "Queued",
        "StackAnswers",
        "StackUnreachable",
        "StatusChanged",
        "Stored",
        "Training",
        "Waiting",
    ),
    "lora_drop.client.history": ("HistoryEntry",),
    "lora_drop.client.job": (
        "Job",
        "JobFile",
        "JobResult",
    ),
    "lora_drop.client.job_view": ("JobView",),
    "lora_drop.client.lora_drop": ("LoraDrop",),
    "lora_drop.client.portrait_trainer": ("PortraitTrainer",),
    "lora_drop.datasets.report": (
        "Estimate",
        "Report",
    ),
    "lora_drop.jobs.artifacts": ("StoredFile",),
    "lora_drop.jobs.errors": (
        "FalUnavailableError",
        "InvalidSignatureError",
        "JobNotFoundError",
        "LoraDropError",
        "NotSubmittedError",
        "ResultGoneError",
        "ResultUnreadableError",
        "SigningKeysUnavailableError",
        "SubmissionRefusedError",
        "SubmissionUnknownError",
    ),
    "lora_drop.jobs.problems": ("Problem",),
    "lora_drop.jobs.status": ("Status",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker is to refuse a name that is not listed

    def __getattr__(name: str) -> object:
        """Import a public name on its first use."""
        from importlib import import_module  # noqa: PLC0415

        if name == "webhooks":
            return import_module("lora_drop.webhooks")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value = getattr(import_module(_MODULES[name]), name)
        return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
