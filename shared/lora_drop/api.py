"""The error answers of the jobs API, in one form: ``{"error": {"code": …, "message": …}}``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from lora_drop.jobs.errors import LoraDropError


def _nothing_more(_: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What the API answers to some errors; ``message`` and ``more`` are made from the error."""

    errors: Sequence[type[LoraDropError]]
    status: int
    code: str
    message: Callable[[Any], str] = str
    more: Callable[[Any], Mapping[str, Any]] = _nothing_more

    def __call__(self, error: Exception) -> Response[Any]:
        """Return the answer to this error."""
        body = {"code": self.code, "message": self.message(error), **self.more(error)}
        return Response(self.status, "application/json", {"error": body})


def answer_errors(app: APIGatewayRestResolver, answers: Sequence[ErrorAnswer]) -> None:
    """Make the app answer each of these errors; the most specific class of an error decides."""
    for answer in answers:
        app.exception_handler(list(answer.errors))(answer)
