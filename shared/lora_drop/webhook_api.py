"""The route that takes fal's deliveries, and what is answered to each of their errors."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit

from lora_drop.bootstrap.webhook import WebhookBootstrap
from lora_drop.jobs import errors
from lora_drop.jobs.ids import digest_of
from lora_drop.messages import raw_delivery
from lora_drop.observability import Metric, about

# fal takes only 2xx for delivered, tries again after 4xx and 5xx, and gives up after 3xx.
DELIVERY_ERRORS: Mapping[type[errors.LoraDropError], tuple[int, str]] = {
    errors.InvalidWebhookError: (401, "delivery_refused"),
    errors.StaleWebhookError: (401, "delivery_stale"),
    errors.JobNotFoundError: (404, "job_unknown"),
    errors.ForeignRequestError: (409, "request_foreign"),
    errors.ConflictError: (503, "try_again"),
    errors.SigningKeysUnavailableError: (503, "try_again"),
    errors.FalUnavailableError: (503, "try_again"),
}


def webhook_api(
    bootstrap: Callable[[], WebhookBootstrap], logger: Logger, metrics: Metrics
) -> APIGatewayRestResolver:
    """Return the route that takes fal's deliveries."""
    app = APIGatewayRestResolver()

    @app.post("/webhooks/fal/<job_id>/<token>")
    def receive(job_id: str, token: str) -> dict[str, str]:
        """Take one delivery for one job."""
        headers, body = raw_delivery(app.current_event.raw_event)
        job = bootstrap().webhook_handler.deliver(job_id, token, headers, body)
        about(job, logger)
        metrics.add_metric(Metric.DELIVERY_ACCEPTED, MetricUnit.Count, 1)
        logger.info("delivery accepted", status=job.status)
        return {"job_id": job_id, "status": job.status}

    def refused(error: errors.LoraDropError) -> Response[Any]:
        known = next(each for each in type(error).__mro__ if each in DELIVERY_ERRORS)
        status, code = DELIVERY_ERRORS[known]
        stale = isinstance(error, errors.StaleWebhookError)
        counted = Metric.DELIVERY_STALE if stale else Metric.DELIVERY_REFUSED
        metrics.add_metric(counted, MetricUnit.Count, 1)
        logger.warning("delivery refused", code=code, reason=str(error))
        return Response(status, "application/json", {"error": {"code": code}})

    def dropped(forgotten: errors.JobForgottenError) -> Response[Any]:
        """Answer 200, so that fal does not send it again; nothing of it is kept."""
        about("", logger)
        logger.info("delivery for a forgotten job dropped", digest=digest_of(str(forgotten)))
        return Response(200, "application/json", {"status": "FORGOTTEN"})

    app.exception_handler(list(DELIVERY_ERRORS))(refused)
    app.exception_handler(errors.JobForgottenError)(dropped)
    return app
