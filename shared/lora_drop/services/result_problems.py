"""What is said of a result that is not there, or is not what it should be."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from lora_drop.jobs.artifacts import Artifact, StoredFile, is_essential
from lora_drop.jobs.errors import DownloadInterruptedError, HostNotAllowedError, ResultInvalidError
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import GONE, PICTURE_BLACKENED, PICTURE_GONE, RESULT_INVALID
from lora_drop.jobs.problems import Problem


def not_copied(trouble: DownloadInterruptedError | HostNotAllowedError) -> Problem:
    """Return the problem that a file could not be copied this time."""
    message = f"{trouble}. If this stays so for half an hour, look at the store function."
    return Problem(code="result_not_copied", message=message)


def result_invalid(
    artifact: Artifact, why: ResultInvalidError, stored: StoredFile | None, *, usable: bool
) -> Problem:
    """Return the problem that a file is not what its name says; ``stored`` are its bytes, where they are kept.

    ``usable``: the LoRA is valid, so this is a warning: a configuration is not needed to use it.
    """
    address = urlsplit(artifact.url)._replace(query="", fragment="").geturl()
    kept = f"Its bytes are kept as {stored.name}; they" if stored else "It is not kept; its bytes"
    rest = "The LoRA beside it is valid and can be used. " if usable else ""
    return Problem(
        code=RESULT_INVALID if is_essential(artifact) else "result_configuration_unreadable",
        message=f"{artifact.name} is not what its name says ({why.flaw}): {why} It was fetched "
        f"twice. {rest}{kept} came from {address}",
        member=artifact.name,
    )


def result_gone(job: Job) -> Problem:
    """Return the problem that fal has the result no longer, or not all of it."""
    if not job.files:
        return PICTURE_GONE if job.picture else GONE
    names = " and ".join(stored.name for stored in job.files)
    return Problem(
        code="result_incomplete",
        message=f"fal no longer has the whole result of request {job.request_id}. {names} could be "
        "had and is stored beside this file.",
    )


def without_files(request_id: str, *, picture: bool = False) -> Problem:
    """Return the problem that a result names no LoRA, or no picture."""
    what = "picture was made" if picture else "training succeeded"
    return Problem(
        code="result_without_files",
        message=f"fal says that the {what}, but its result names no {'image' if picture else 'LoRA'}. "
        f"Ask fal about request {request_id}.",
    )


def said_of(artifacts: Sequence[Artifact]) -> tuple[Problem, ...]:
    """Return what is to be known of a result that is stored whole: fal's safety checker makes a picture black."""
    return (PICTURE_BLACKENED,) if any(each.blackened for each in artifacts) else ()
