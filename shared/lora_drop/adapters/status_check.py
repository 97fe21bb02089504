"""The reconciler, called out of turn: it holds fal's key, and whoever takes webhooks does not."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from lora_drop.messages import StatusCheckRequest

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class LambdaStatusCheck:
    """A function that takes a Question, and is not waited for. ``client`` is made when it is needed."""

    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._client = client
        self._function = function

    def request_status_check(self, job_id: str) -> None:
        """Lambda keeps the question until the function has taken it."""
        self._client().invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=StatusCheckRequest(job_id=job_id).model_dump_json().encode(),
        )
