"""fal calls back: verify, record, hand over, answer."""

from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.webhook import WebhookBootstrap
from lora_drop.jobs.errors import (
    ConflictError,
    FalUnavailableError,
    ForeignRequestError,
    InvalidWebhookError,
    JobForgottenError,
    JobNotFoundError,
    LoraDropError,
    SigningKeysUnavailableError,
    StaleWebhookError,
)
from lora_drop.jobs.ids import digest_of
from lora_drop.messages import job_id_in, raw_delivery
from lora_drop.observability import Metric, about, make_tracer
from lora_drop.settings import WebhookSettings, load

logger = Logger()
tracer = make_tracer()
metrics = Metrics()
app = APIGatewayRestResolver()

# fal takes only 2xx for delivered, tries again after 4xx and 5xx, and gives up after 3xx.
ANSWERS: dict[type[LoraDropError], tuple[int, str]] = {
    InvalidWebhookError: (401, "delivery_refused"),
    StaleWebhookError: (401, "delivery_stale"),
    JobNotFoundError: (404, "job_unknown"),
    ForeignRequestError: (409, "request_foreign"),
    ConflictError: (503, "try_again"),
    SigningKeysUnavailableError: (503, "try_again"),
    FalUnavailableError: (503, "try_again"),
}


@cache
def bootstrap() -> WebhookBootstrap:
    """Return the function's world, built on first use."""
    return WebhookBootstrap(load(WebhookSettings))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer 200 only after the fact is recorded and handed over."""
    about(job_id_in(event), logger, tracer)
    return app.resolve(event, context)


@app.post("/webhooks/fal/<job_id>/<token>")
def receive(job_id: str, token: str) -> dict[str, str]:
    """Take one delivery for one job."""
    headers, body = raw_delivery(app.current_event.raw_event)
    job = bootstrap().webhook_handler.deliver(job_id, token, headers, body)
    about(job, logger, tracer)
    metrics.add_metric(Metric.DELIVERY_ACCEPTED, MetricUnit.Count, 1)
    logger.info("delivery accepted", status=job.status)
    return {"job_id": job_id, "status": job.status}


def _answer(status: int, code: str) -> Callable[[Exception], Response[Any]]:
    def answer(error: Exception) -> Response[Any]:
        stale = isinstance(error, StaleWebhookError)
        counted = Metric.DELIVERY_STALE if stale else Metric.DELIVERY_REFUSED
        metrics.add_metric(counted, MetricUnit.Count, 1)
        logger.warning("delivery refused", code=code, reason=str(error))
        return Response(status, "application/json", {"error": {"code": code}})

    return answer


def dropped(forgotten: JobForgottenError) -> Response[Any]:
    """Answer 200, so that fal does not send it again; nothing of it is kept."""
    about("", logger, tracer)
    logger.info("delivery for a forgotten job dropped", digest=digest_of(str(forgotten)))
    return Response(200, "application/json", {"status": "FORGOTTEN"})


app.exception_handler(JobForgottenError)(dropped)
for _error, (_status, _code) in ANSWERS.items():
    app.exception_handler(_error)(_answer(_status, _code))
