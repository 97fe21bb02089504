"""A problem: what is wrong with a job or its dataset, with a code and what to do."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

# A name in a ZIP may have 65,535 bytes, and a job has to fit into a DynamoDB item (400 KB).
MAX_NAME = 200
MAX_MESSAGE = 1500
MAX_PROBLEMS = 50


def shortened(text: str, length: int) -> str:
    """Return the text, or its beginning and end, in so many characters at most.

    What no UTF-8 can hold (half a surrogate pair, from JSON) becomes a question mark.
    """
    text = text.encode(errors="replace").decode()
    if len(text) <= length:
        return text
    tail = length // 4
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


class Problem(BaseModel):
    """One reason, with a stable code and a sentence that says what to do.

    ``retryable``: whether the same dataset, as it is, may do better the next time; None where
    that is unknown.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    message: Annotated[str, AfterValidator(lambda text: shortened(text, MAX_MESSAGE))]
    member: Annotated[str, AfterValidator(lambda name: shortened(name, MAX_NAME))] | None = None
    retryable: bool | None = None


def codes_of(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Return their codes, each once, in their order: what may be said of them anywhere."""
    return tuple(dict.fromkeys(problem.code for problem in problems))


def first_of(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return at most 50 problems; the last of them then says how many more there are."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    shown = tuple(problems[: MAX_PROBLEMS - 1])
    rest = Problem(
        code="dataset_more_problems",
        message=f"There are {len(problems) - len(shown)} more problems. Mend these first.",
    )
    return (*shown, rest)
