"""The jobs API: what became of my datasets."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.api import jobs_api
from lora_drop.bootstrap.jobs import JobsBootstrap
from lora_drop.messages import job_id_in
from lora_drop.observability import about
from lora_drop.settings import JobsSettings, load

logger = Logger()


@cache
def bootstrap() -> JobsBootstrap:
    """Return the function's world, built on first use."""
    return JobsBootstrap(load(JobsSettings))


app = jobs_api(lambda: bootstrap(), logger)  # noqa: PLW0108  # looked up at each request: tests replace it


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request; who may ask is API Gateway's business (IAM)."""
    about(job_id_in(event), logger)
    answer = app.resolve(event, context)
    logger.info("request answered", method=event["httpMethod"], code=answer["statusCode"])
    return answer
