"""What a person reads of a job's state and its times."""

from datetime import UTC, datetime

from lora_drop.jobs.status import Status

# The state in words, and what happens in it.
STATES: dict[Status, tuple[str, str]] = {
    Status.RECEIVED: ("Arrived", "The stack checks the photos before anything is paid."),
    Status.REJECTED: ("Refused", "Nothing was paid. Mend what is named below and drop it again."),
    Status.READY: ("Waiting", "It is checked, and waits for its turn at fal."),
    Status.HELD: ("Waits for you", "Nothing is sent until you decide."),
    Status.SUBMITTING: ("Being sent", "fal gets it now, once."),
    Status.SUBMIT_UNKNOWN: (
        "Asking fal",
        "fal's answer was lost. It is not sent again until it is known.",
    ),
    Status.SUBMITTED: ("In fal's queue", "fal has it, and begins soon."),
    Status.TRAINING: ("Training", "You can close this page; the training goes on."),
    Status.STORING: ("Storing", "The training is done. Its files are copied and verified."),
    Status.SUCCEEDED: ("Done", "The LoRA is there."),
    Status.FAILED: ("Failed", "There is no LoRA of it."),
    Status.CANCELLED: ("Cancelled", "It was stopped."),
    Status.EXPIRED: ("Expired", "fal has not ended it in time."),
}
MINUTE, HOUR = 60, 3600


def state_of(status: Status) -> str:
    """Return a state in a word or three."""
    return STATES[status][0]


def meaning_of(status: Status) -> str:
    """Return what happens in a state."""
    return STATES[status][1]


def clock(moment: datetime) -> str:
    """Return a moment as this machine's clock shows it; the day where it is not today."""
    local, now = moment.astimezone(), datetime.now(UTC).astimezone()
    return f"{local:%H:%M}" if local.date() == now.date() else f"{local:%-d %b %Y, %H:%M}"


def duration(seconds: float) -> str:
    """Return a time that is left, as people say it: “20 s”, “12 min”, “1 h 5 min”."""
    if seconds < MINUTE:
        return f"{max(0, round(seconds))} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    hours, rest = divmod(round(seconds / MINUTE), MINUTE)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
