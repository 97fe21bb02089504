"""A stack that does not answer while a job is followed: how long it is waited for, and what is true at the end."""

from lora_drop.client.errors import StackUnreachableError

# For so long a stack may be silent that has answered before, where the caller does not say it.
PATIENCE = 300.0  # seconds
REFUSED_PATIENCE = 30.0  # seconds, where it refuses connections: nothing runs at its address
FIRST_PATIENCE = 20.0  # seconds, of a stack that has never answered


def patience_with(error: StackUnreachableError, *, answered: bool) -> float:
    """Return how many seconds of silence are waited for; ``answered``: the stack has answered before."""
    if not answered:
        return FIRST_PATIENCE
    return REFUSED_PATIENCE if _refuses_connections(error) else PATIENCE


def given_up(
    error: StackUnreachableError, job_id: str, seconds: float, *, local: bool
) -> StackUnreachableError:
    """Return what is said of a job that is not followed any longer; the jobs of a ``local`` stack end with it."""
    then = "The stack goes on with the job by itself. Once it answers"
    if local:
        then = (
            "If the stack on this machine was taken down, its jobs are lost: lora-drop up starts one, and the "
            "dataset has to be trained again. If it was not"
        )
    return StackUnreachableError(
        f"{str(error).rstrip('.')}. It has not answered for {seconds:.0f} s, so {job_id} is not followed any longer. "
        f"{then}: lora-drop watch {job_id}"
    )


def _refuses_connections(error: BaseException | None) -> bool:
    """Return whether nothing runs at the address that was asked, which is in what an error came from."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None
