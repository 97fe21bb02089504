"""fal calls back: verify, record, hand over, answer."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.webhook import WebhookBootstrap
from lora_drop.messages import job_id_in
from lora_drop.observability import about
from lora_drop.settings import WebhookSettings, load
from lora_drop.webhook_api import webhook_api

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> WebhookBootstrap:
    """Return the function's world, built on first use."""
    return WebhookBootstrap(load(WebhookSettings))


app = webhook_api(lambda: bootstrap(), logger, metrics)  # noqa: PLW0108  # looked up at each request: tests replace it


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer 200 only after the fact is recorded and handed over."""
    about(job_id_in(event), logger)
    return app.resolve(event, context)
