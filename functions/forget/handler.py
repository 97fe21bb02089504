"""A job is forgotten: on request, and continued every few minutes until it is done."""

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.forget import ForgetBootstrap
from lora_drop.observability import Metric, log_erasure
from lora_drop.settings import ForgetSettings, load

if TYPE_CHECKING:
    from aws_lambda_powertools.event_handler import APIGatewayRestResolver

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> ForgetBootstrap:
    """Return the function's world, built on first use."""
    return ForgetBootstrap(load(ForgetSettings))


@cache
def app() -> "APIGatewayRestResolver":
    """Return the routes; a round does without what they import."""
    from lora_drop.api import forget_api  # noqa: PLC0415  # as said

    return forget_api(lambda: bootstrap(), logger)  # noqa: PLW0108  # looked up at each request: tests replace it


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request, or run the round that goes on with what was begun."""
    if "httpMethod" in event:
        return app().resolve(event, context)
    try:
        for each in bootstrap().forget_service.go_on():
            log_erasure(each, logger)
    finally:
        # Also after an error: an erasure that does not go on must ring the alarm.
        waiting = bootstrap().forget_service.waiting()
        metrics.add_metric(Metric.ERASURES_OPEN, MetricUnit.Count, len(waiting))
        oldest = max(waiting, default=0)
        metrics.add_metric(Metric.OLDEST_ERASURE_SECONDS, MetricUnit.Seconds, oldest)
    return {"open": len(waiting)}
