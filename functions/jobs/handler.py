"""The jobs API: what became of my datasets."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.jobs import JobsBootstrap
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    BadQuery,
    ConflictError,
    FalUnavailableError,
    JobForgottenError,
    JobNotFoundError,
)
from lora_drop.jobs.public_job import public
from lora_drop.messages import JobsQuery, ResolveRequest, RetryRequest, caller_of, job_id_in
from lora_drop.observability import about, make_tracer
from lora_drop.services.browse import list_jobs, show_budget, show_job
from lora_drop.settings import JobsSettings, load

logger = Logger()
tracer = make_tracer()
app = APIGatewayRestResolver()
REDRIVEN_AT_ONCE = 100


@cache
def bootstrap() -> JobsBootstrap:
    """Return the function's world, built on first use."""
    return JobsBootstrap(load(JobsSettings))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request; who may ask is API Gateway's business (IAM)."""
    about(job_id_in(event), logger, tracer)
    answer = app.resolve(event, context)
    logger.info("request answered", method=event["httpMethod"], code=answer["statusCode"])
    return answer


@app.get("/jobs")
def jobs() -> dict[str, Any]:
    """Return jobs, newest first, ``?status=``, ``?limit=`` (1 to 100), ``?cursor=``."""
    query = JobsQuery.parse(app.current_event.query_string_parameters)
    return list_jobs(
        status=query.status, limit=query.limit, cursor=query.cursor, jobs=bootstrap().jobs
    )


@app.get("/jobs/<job_id>")
def job(job_id: str) -> dict[str, Any]:
    """Return one job."""
    return show_job(job_id, jobs=bootstrap().jobs)


@app.post("/jobs/<job_id>/resolve")
def resolve(job_id: str) -> dict[str, Any]:
    """Return what the caller says of a submission in doubt; API Gateway knows who that is."""
    said, by = ResolveRequest.parse(app.current_event.body), _caller()
    manual_actions = bootstrap().manual_actions
    if said.request_id is None:
        return public(manual_actions.not_submitted(job_id, by=by))
    return public(manual_actions.accepted(job_id, said.request_id, by=by))


@app.post("/jobs/<job_id>/approve")
def approve(job_id: str) -> dict[str, Any]:
    """Let a held job go on, in the caller's name."""
    return public(bootstrap().manual_actions.approve(job_id, by=_caller()))


@app.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> dict[str, Any]:
    """Stop a job, in the caller's name."""
    return public(bootstrap().manual_actions.cancel(job_id, by=_caller()))


@app.post("/jobs/<job_id>/retry")
def retry(job_id: str) -> dict[str, Any]:
    """Train the same dataset once more, in the caller's name: ``{"resume": true}`` goes on."""
    order = RetryRequest.parse(app.current_event.body)
    return public(bootstrap().retry_service.retry(job_id, resume=order.resume, by=_caller()))


@app.post("/jobs/<job_id>/replay")
def replay(job_id: str) -> dict[str, Any]:
    """Take in once more what fal has delivered for a job."""
    return public(bootstrap().retry_service.replay(job_id))


@app.get("/budget")
def budget() -> dict[str, Any]:
    """Return the month's dollars and the slots."""
    limits = bootstrap().settings.limits
    return show_budget(now=bootstrap().clock(), limits=limits, jobs=bootstrap().jobs)


@app.post("/redrive")
def redrive() -> dict[str, Any]:
    """Send the dead letters of both queues back, 100 of each at most."""
    return {"moved": bootstrap().dead_letters.redrive(REDRIVEN_AT_ONCE)}


def _caller() -> str:
    return caller_of(app.current_event.raw_event)


def unavailable(error: FalUnavailableError) -> Response[Any]:
    """Answer 503 while fal does not answer."""
    body = {"error": {"code": "fal_unavailable", "message": f"{error}. Try again in a minute."}}
    return Response(503, "application/json", body)


def unknown(error: JobNotFoundError) -> Response[Any]:
    """Answer 404, with a sentence."""
    body = {"error": {"code": "job_unknown", "message": f"There is no job {error}."}}
    return Response(404, "application/json", body)


def gone(error: JobForgottenError) -> Response[Any]:
    """Answer 410: the job is gone for good."""
    about("", logger, tracer)
    message = f"{error} was forgotten; lora-drop forget shows the proof."
    return Response(
        410, "application/json", {"error": {"code": "job_forgotten", "message": message}}
    )


def conflict(error: ActionNotAllowedError | ConflictError) -> Response[Any]:
    """Answer 409 for a decision that is not open, or no longer."""
    body = {"error": {"code": "nothing_to_decide", "message": str(error)}}
    return Response(409, "application/json", body)


def invalid(error: BadQuery) -> Response[Any]:
    """Answer 400 for a query that is not of its form."""
    body = {"error": {"code": "query_invalid", "message": str(error)}}
    return Response(400, "application/json", body)


app.exception_handler(FalUnavailableError)(unavailable)
app.exception_handler(JobNotFoundError)(unknown)
app.exception_handler(JobForgottenError)(gone)
app.exception_handler([ActionNotAllowedError, ConflictError])(conflict)
app.exception_handler(BadQuery)(invalid)
