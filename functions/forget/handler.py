"""A job is forgotten: on request, and continued every few minutes until it is done."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

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


def _answer(status: int, code: str, message: str, **more: Any) -> Response[Any]:
    body = {"error": {"code": code, "message": message, **more}}
    return Response(status, "application/json", body)


def unknown(error: JobNotFoundError) -> Response[Any]:
    """Answer 404, with a sentence."""
    return _answer(404, "job_unknown", f"There is no job {error}.")


def shared(error: SharedJobError) -> Response[Any]:
    """Answer 409, with the jobs that would lose their files."""
    return _answer(409, "job_shared", str(error), jobs=list(error.jobs))


def not_now(error: ActionNotAllowedError | NotErasableError) -> Response[Any]:
    """Answer 409 for a job that has not ended, and for what S3 does not let go."""
    return _answer(409, "not_forgotten", str(error))


def again(error: ConflictError | FalUnavailableError) -> Response[Any]:
    """Answer 503 for what goes on by itself, and for what has to be asked again: it may not be begun."""
    if isinstance(error, ConflictError):
        return _answer(
            503, "try_again", "The job has just been changed by another request. Try again."
        )
    return _answer(503, "try_again", f"fal: {error}. The rest follows by itself within 15 minutes.")


def invalid(error: BadQuery) -> Response[Any]:
    """Answer 400 for a body that is not of its form."""
    return _answer(400, "query_invalid", str(error))


app.exception_handler(JobNotFoundError)(unknown)
app.exception_handler(SharedJobError)(shared)
app.exception_handler([ActionNotAllowedError, NotErasableError])(not_now)
app.exception_handler([ConflictError, FalUnavailableError])(again)
app.exception_handler(BadQuery)(invalid)
