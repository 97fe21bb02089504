"""Values that are told apart quickly: every job once, every argument by what it says."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum

from pydantic import BaseModel

from lora_drop.jobs.job import Job

type Key = Hashable
PLAIN = (type(None), bool, int, float, str, bytes, Enum, datetime, timedelta)


class Row:
    """A job as it is kept; there is one row for all that are equal, so ``is`` compares them."""

    __slots__ = ("job", "text")
    _known: dict[str, "Row"] = {}  # noqa: RUF012  # one table for all: that is its purpose

    def __init__(self, job: Job, text: str) -> None:
        self.job = job
        self.text = text

    @classmethod
    def of(cls, job: Job) -> "Row":
        """The one row for this job."""
        text = job.model_dump_json()
        row = cls._known.get(text)
        if row is None:
            row = cls._known[text] = cls(job, text)
        return row


def key_of(value: object) -> Key:
    """What tells this value from others; equal values have equal keys."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Job):
        return Row.of(value)
    if isinstance(value, BaseModel):
        return type(value).__name__, value.model_dump_json()
    return type(value).__name__, *(key_of(member) for member in _members(value))


def _members(value: object) -> Iterable[object]:
    match value:
        case Mapping():
            return value.items()
        case tuple() | list():
            return value
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    raise TypeError(f"nothing tells one {type(value).__name__} from another")


def brief(value: object) -> str:
    """The value as a counterexample shows it."""
    match value:
        case Job():
            request = f" {value.request_id}" if value.request_id else ""
            return f"{value.job_id} {value.status} v{value.version}{request}"
        case None | bool() | int() | str():
            return str(value)[:36]
        case tuple() | list():
            return "[" + ", ".join(brief(item) for item in value) + "]"
    for name in ("request_id", "name", "key"):
        if told := getattr(value, name, None):
            return f"{type(value).__name__} {told}"
    return type(value).__name__
