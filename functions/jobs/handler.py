"""The jobs API: what became of my datasets."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.api import ErrorAnswer, answer_errors
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


def _forgotten(error: JobForgottenError) -> str:
    about("", logger, tracer)  # its id is for no log any more
    return f"{error} was forgotten; lora-drop forget shows the proof."


answer_errors(
    app,
    [
        ErrorAnswer(
            [FalUnavailableError],
            503,
            "fal_unavailable",
            lambda error: f"{error}. Try again in a minute.",
        ),
        ErrorAnswer(
            [JobNotFoundError], 404, "job_unknown", lambda error: f"There is no job {error}."
        ),
        ErrorAnswer([JobForgottenError], 410, "job_forgotten", _forgotten),
        ErrorAnswer([ActionNotAllowedError, ConflictError], 409, "nothing_to_decide"),
        ErrorAnswer([BadQuery], 400, "query_invalid"),
    ],
)
