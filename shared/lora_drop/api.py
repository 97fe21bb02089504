"""What API Gateway asks the functions: the routes of the jobs API and of forget.

Errors have one form: ``{"error": {"code": …, "message": …}}``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from lora_drop.api_requests import (
    MAX_ARCHIVE,
    DatasetRequest,
    FetchedDatasetRequest,
    TrainingRequest,
    idempotency_key_of,
    parse_job_request,
)
from lora_drop.bootstrap.forget import ForgetBootstrap
from lora_drop.bootstrap.jobs import JobsBootstrap
from lora_drop.jobs import erasures, errors
from lora_drop.jobs.public_job import public
from lora_drop.messages import (
    ForgetRequest,
    JobsQuery,
    LogsQuery,
    ResolveRequest,
    RetryRequest,
    base_path_of,
    called_by_key,
    caller_of,
)
from lora_drop.observability import about, log_erasure
from lora_drop.services.browse import list_jobs, show_budget, show_files, show_job
from lora_drop.services.record import refuse_endless

if TYPE_CHECKING:
    from lora_drop.services.intake import Order

REDRIVEN_AT_ONCE = 100


def _nothing_more(_: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What the API answers to some errors; ``message`` and ``more`` are made from the error."""

    errors: Sequence[type[errors.LoraDropError]]
    status: int
    code: str
    message: Callable[[Any], str] = str
    more: Callable[[Any], Mapping[str, Any]] = _nothing_more

    def __call__(self, error: Exception) -> Response[Any]:
        """Return the answer to this error."""
        body = {"code": self.code, "message": self.message(error), **self.more(error)}
        return Response(self.status, "application/json", {"error": body})


def answer_errors(app: APIGatewayRestResolver, answers: Sequence[ErrorAnswer]) -> None:
    """Make the app answer each of these errors; the most specific class of an error decides.

    What no route is for is answered in the same form.
    """
    app.not_found(ErrorAnswer([], 404, "route_unknown", _no_route))
    for answer in answers:
        app.exception_handler(list(answer.errors))(answer)


def _no_route(_: Exception) -> str:
    return "There is nothing at this address. What there is: GET /openapi.json"


UNKNOWN_JOB = ErrorAnswer(
    [errors.JobNotFoundError], 404, "job_unknown", lambda error: f"There is no job {error}."
)
INVALID_QUERY = ErrorAnswer([errors.InvalidQueryError], 400, "query_invalid")
UNKNOWN_DATASET = ErrorAnswer([errors.DatasetNotFoundError], 404, "dataset_unknown")
UNREADABLE = ErrorAnswer([errors.DatasetUnreadableError], 409, "dataset_unreadable")


OTHER_ORDER = ErrorAnswer(
    [errors.OrderConflictError],
    422,
    "idempotency_key_reused",
    lambda error: (
        f"This Idempotency-Key stands for another order, whose job is {error}. Give this one its own."
    ),
)


def _rejected(error: errors.DatasetRejectedError) -> str:
    return " ".join(problem.message for problem in error.problems)


def _problems(error: errors.DatasetRejectedError) -> Mapping[str, Any]:
    return {"problems": [problem.model_dump(mode="json") for problem in error.problems]}


REJECTED = ErrorAnswer(
    [errors.DatasetRejectedError], 422, "dataset_rejected", _rejected, more=_problems
)


def jobs_api(bootstrap: Callable[[], JobsBootstrap], logger: Logger) -> APIGatewayRestResolver:
    """Return the jobs API; who may ask is API Gateway's business (IAM)."""
    app = APIGatewayRestResolver()
    _add_lists(app, bootstrap)
    _add_manual_actions(app, bootstrap)
    _add_datasets(app, bootstrap)

    def forgotten(error: errors.JobForgottenError) -> str:
        about("", logger)  # its id is for no log any more
        return f"{error} was forgotten; lora-drop forget shows the proof."

    unavailable = ErrorAnswer(
        [errors.FalUnavailableError],
        503,
        "fal_unavailable",
        lambda error: f"{error}. Try again in a minute.",
    )
    gone = ErrorAnswer([errors.JobForgottenError], 410, "job_forgotten", forgotten)
    refused = ErrorAnswer(
        [errors.ActionNotAllowedError, errors.ConflictError], 409, "nothing_to_decide"
    )
    of_datasets = [UNKNOWN_DATASET, UNREADABLE, REJECTED, OTHER_ORDER]
    answer_errors(app, [unavailable, UNKNOWN_JOB, gone, refused, INVALID_QUERY, *of_datasets])
    return app


def _add_lists(app: APIGatewayRestResolver, bootstrap: Callable[[], JobsBootstrap]) -> None:
    @app.get("/jobs")
    def jobs() -> dict[str, Any]:
        """Return jobs, newest first, ``?status=``, ``?limit=`` (1 to 100), ``?cursor=``."""
        query = JobsQuery.parse(app.current_event.query_string_parameters)
        return list_jobs(
            status=query.status, limit=query.limit, cursor=query.cursor, jobs=bootstrap().jobs
        )

    @app.get("/jobs/<job_id>")
    def job(job_id: str) -> dict[str, Any]:
        limits = bootstrap().settings.limits
        return show_job(job_id, now=bootstrap().clock(), limits=limits, jobs=bootstrap().jobs)

    @app.get("/jobs/<job_id>/files")
    def files(job_id: str) -> dict[str, Any]:
        """Return a job's files, each with an address to download it from."""
        world = bootstrap()
        return show_files(job_id, now=world.clock(), jobs=world.jobs, results=world.results)

    @app.get("/jobs/<job_id>/logs")
    def logs(job_id: str) -> dict[str, Any]:
        """Return the training's log after the first ``?after=`` lines, and how far it is."""
        query = LogsQuery.parse(app.current_event.query_string_parameters)
        return bootstrap().training_logs.read(job_id, after=query.after)

    @app.get("/budget")
    def budget() -> dict[str, Any]:
        """Return the month's dollars and the slots."""
        limits = bootstrap().settings.limits
        return show_budget(now=bootstrap().clock(), limits=limits, jobs=bootstrap().jobs)


def _order(said: TrainingRequest) -> "Order":
    from lora_drop.services.intake import Order  # noqa: PLC0415  # knows every trainer

    return Order(
        said.name, said.parameters, said.reference, said.notify_url, said.force, said.proof
    )


def _add_datasets(app: APIGatewayRestResolver, bootstrap: Callable[[], JobsBootstrap]) -> None:
    """Add how datasets come in without rights on the bucket; nothing is paid in here."""

    @app.post("/datasets")
    def upload() -> dict[str, Any]:
        """Return a signed form to upload one ZIP with."""
        said = DatasetRequest.parse(app.current_event.body)
        order = _order(said)
        sizes = (said.size, said.size) if said.size else (1, MAX_ARCHIVE)
        made = bootstrap().intake.form(order, sizes)
        return {
            "url": made.form.url,
            "fields": dict(made.form.fields),
            "key": made.key,
            "expires_at": made.expires_at.isoformat(),
            "advice": [each.model_dump(mode="json") for each in made.advice],
        }

    @app.post("/jobs")
    def order_training() -> Response[Any]:
        """Return the job of a dataset that was uploaded or is to be fetched; the same one however often it is asked for."""
        said, intake = parse_job_request(app.current_event.body), bootstrap().intake
        if isinstance(said, FetchedDatasetRequest):
            key = idempotency_key_of(app.current_event.headers)
            job = intake.fetched(_order(said), said.url, key)
        else:
            job = intake.job_of(said.key, said.version_id)
        return Response(202, "application/json", public(job))

    @app.get("/openapi.json")
    def description() -> dict[str, Any]:
        """Return this API in OpenAPI 3.1."""
        from lora_drop.openapi import document  # noqa: PLC0415  # schemas of everything

        event = app.current_event.raw_event
        return document(base_path_of(event), by_key=called_by_key(event))


def _add_manual_actions(
    app: APIGatewayRestResolver, bootstrap: Callable[[], JobsBootstrap]
) -> None:
    """Add what a person decides; each is done in the caller's name."""

    def caller() -> str:
        return caller_of(app.current_event.raw_event)

    @app.post("/jobs/<job_id>/resolve")
    def resolve(job_id: str) -> dict[str, Any]:
        """Take what the caller says of a submission in doubt."""
        said, actions = ResolveRequest.parse(app.current_event.body), bootstrap().manual_actions
        if said.request_id is None:
            return public(actions.not_submitted(job_id, by=caller()))
        return public(actions.accepted(job_id, said.request_id, by=caller()))

    @app.post("/jobs/<job_id>/approve")
    def approve(job_id: str) -> dict[str, Any]:
        return public(bootstrap().manual_actions.approve(job_id, by=caller()))

    @app.post("/jobs/<job_id>/cancel")
    def cancel(job_id: str) -> dict[str, Any]:
        return public(bootstrap().manual_actions.cancel(job_id, by=caller()))

    @app.post("/jobs/<job_id>/retry")
    def retry(job_id: str) -> dict[str, Any]:
        """Train the same dataset once more: ``{"resume": true}`` goes on from the last checkpoint."""
        order = RetryRequest.parse(app.current_event.body)
        return public(bootstrap().retry_service.retry(job_id, resume=order.resume, by=caller()))

    @app.post("/jobs/<job_id>/replay")
    def replay(job_id: str) -> dict[str, Any]:
        """Take in once more what fal has delivered for a job."""
        return public(bootstrap().retry_service.replay(job_id))

    @app.post("/redrive")
    def redrive() -> dict[str, Any]:
        """Send the dead letters of both queues back, 100 of each at most."""
        return {"moved": bootstrap().dead_letters.redrive(REDRIVEN_AT_ONCE)}


def forget_api(bootstrap: Callable[[], ForgetBootstrap], logger: Logger) -> APIGatewayRestResolver:
    """Return the route that erases a job."""
    app = APIGatewayRestResolver()

    @app.post("/jobs/<job_id>/forget")
    def forget(job_id: str) -> dict[str, Any]:
        """Erase a job as far as there is time; to be asked again until ``done``.

        A look erases nothing: it answers which ``jobs`` would go; none, when that is begun already.
        """
        order, service = ForgetRequest.parse(app.current_event.body), bootstrap().forget_service
        refuse_endless(job_id)
        if order.look:
            found = service.look(job_id, family=order.family)
            return {"jobs": [erasures.to_go(each) for each in found]}
        begun = service.forget(job_id, family=order.family)
        for each in begun:
            log_erasure(each, logger)
        return {
            "done": all(each.done_at for each in begun),
            "last_look_at": max(each.last_look_at for each in begun).isoformat(),
            "erasures": [erasures.public(each) for each in begun],
        }

    def try_again(error: errors.LoraDropError) -> str:
        if isinstance(error, errors.ConflictError):
            return "The job has just been changed by another request. Try again."
        return f"fal: {error}. The rest follows by itself within 15 minutes."

    shared = ErrorAnswer(
        [errors.SharedJobError], 409, "job_shared", more=lambda error: {"jobs": list(error.jobs)}
    )
    kept = ErrorAnswer(
        [errors.ActionNotAllowedError, errors.NotErasableError], 409, "not_forgotten"
    )
    busy = ErrorAnswer(
        [errors.ConflictError, errors.FalUnavailableError], 503, "try_again", try_again
    )
    answer_errors(app, [UNKNOWN_JOB, shared, kept, busy, INVALID_QUERY])
    return app
