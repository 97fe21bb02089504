"""A job is forgotten: on request, and continued every few minutes until it is done."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.api import ErrorAnswer, answer_errors
from lora_drop.bootstrap.forget import ForgetBootstrap
from lora_drop.jobs.erasures import Erasure, public, to_go
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    BadQuery,
    ConflictError,
    FalUnavailableError,
    JobNotFoundError,
    NotErasableError,
    SharedJobError,
)
from lora_drop.messages import ForgetRequest
from lora_drop.observability import Metric, make_tracer
from lora_drop.settings import ForgetSettings, load

logger = Logger()
tracer = make_tracer()
metrics = Metrics()
app = APIGatewayRestResolver()


@cache
def bootstrap() -> ForgetBootstrap:
    """Return the function's world, built on first use."""
    return ForgetBootstrap(load(ForgetSettings))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return one request, or the round that goes on with what was begun."""
    if "httpMethod" in event:
        return app.resolve(event, context)
    try:
        for each in bootstrap().forget_service.go_on():
            logged(each)
    finally:
        # Also after an error: an erasure that does not go on must ring the alarm.
        waiting = bootstrap().forget_service.waiting()
        metrics.add_metric(Metric.ERASURES_OPEN, MetricUnit.Count, len(waiting))
        oldest = max(waiting, default=0)
        metrics.add_metric(Metric.OLDEST_ERASURE_SECONDS, MetricUnit.Seconds, oldest)
    return {"open": len(waiting)}


@app.post("/jobs/<job_id>/forget")
def forget(job_id: str) -> dict[str, Any]:
    """Erase a job as far as there is time; to be asked again until ``done``.

    A look erases nothing: it answers which ``jobs`` would go; none, when that is begun already.
    """
    order = ForgetRequest.parse(app.current_event.body)
    if order.look:
        found = bootstrap().forget_service.look(job_id, family=order.family)
        return {"jobs": [to_go(each) for each in found]}
    erasures = bootstrap().forget_service.forget(job_id, family=order.family)
    return {
        "done": all(logged(each).done_at for each in erasures),
        "last_look_at": max(each.last_look_at for each in erasures).isoformat(),
        "erasures": [public(each) for each in erasures],
    }


def logged(erasure: Erasure) -> Erasure:
    """Log the erasure by its digest: the job's id begins with the name of the ZIP."""
    logger.info("erasing", digest=erasure.digest, done=bool(erasure.done_at))
    return erasure


def _try_again(error: ConflictError | FalUnavailableError) -> str:
    if isinstance(error, ConflictError):
        return "The job has just been changed by another request. Try again."
    return f"fal: {error}. The rest follows by itself within 15 minutes."


answer_errors(
    app,
    [
        ErrorAnswer(
            [JobNotFoundError], 404, "job_unknown", lambda error: f"There is no job {error}."
        ),
        ErrorAnswer(
            [SharedJobError], 409, "job_shared", more=lambda error: {"jobs": list(error.jobs)}
        ),
        ErrorAnswer([ActionNotAllowedError, NotErasableError], 409, "not_forgotten"),
        ErrorAnswer([ConflictError, FalUnavailableError], 503, "try_again", _try_again),
        ErrorAnswer([BadQuery], 400, "query_invalid"),
    ],
)
