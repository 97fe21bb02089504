"""The stage once more, on AWS's own calls and fal's own wire: every one of them is an effect."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from unittest.mock import patch

import boto3
import httpx
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from lora_drop.bootstrap import base
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import DatasetVersion
from tests.resilience.faults import functions
from tests.resilience.faults.crash import Mortal
from tests.resilience.faults.effects import Effect, Hand
from tests.resilience.faults.fal import Request
from tests.resilience.faults.harness import ARCHIVE, Stage
from tests.resilience.faults.sqs import Queue
from tests.resilience.faults.wire import Wire
from tests.security.iam.arns import Names
from tests.security.iam.guard import Guard, guarded
from tests.support.aws import Aws, kept_client, moto
from tests.support.lambda_environment import Internet, LambdaEnvironment
from tests.support.memory import ManualClock, MemoryEvents
from tests.support.memory_files import MemoryResults
from tests.support.pictures import BlindPictures


class Cloud(Stage):
    """A stage whose table, buckets and queues are moto's, and whose fal is at the end of httpx.

    moto's queues only take messages in: who gets one when, and how often, is the stage's business.
    """

    def __init__(self, hand: Hand, aws: Aws) -> None:
        self.aws = aws
        self.inside = 0
        # moto's clock is the real one, and the sweeps compare it with the functions'.
        super().__init__(hand, clock=ManualClock(datetime.now(UTC).replace(microsecond=0)))

    def furnish(self) -> None:
        """The environment that the template describes."""
        self.environment = LambdaEnvironment(self.aws, Internet(), self.clock, cast("Any", None))
        self.wire = Wire(self.fal)
        self.fal.on_accept = self._accepted
        self.table = self.environment.jobs
        self.bucket = MemoryResults()
        self.heard = MemoryEvents()

    # ------------------------------------------------------------------- one call

    def call(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        """A call to AWS, which is an effect when a function makes it."""
        if not self.inside:
            return call()
        return self.hand.act(Effect(service, operation), call)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """fal's answer to a request."""
        effect = Effect("fal", f"{request.method} {request.url.host}")
        return self.hand.act(effect, lambda: self.wire.answer(request))

    def invoke(self, name: str, event: Any, then: Callable[[Any], None]) -> None:
        """As on the stage; then what the function sent is in the queues, and its rows are seen."""
        self.inside += 1
        answers: list[Any] = []
        try:
            self._invoke(name, event, None, answers.append)
        finally:
            self.inside -= 1
        for url, queue in (
            (self.environment.inbox, self.inbox),
            (self.environment.results, self.results),
        ):
            self._fetch(url, queue)
        self._look()
        then(answers[0])

    def _fetch(self, url: str, queue: Queue) -> None:
        for body in self.aws.messages(url):
            queue.send(body)

    def _accepted(self, request: Request) -> None:
        self.inside, inside = 0, self.inside
        self._look()
        self.inside = inside
        self.rows.accepted(request)

    def _look(self) -> None:
        for job in self.table.page(status=None, limit=100, cursor=None).jobs:
            if self.rows.get(job.job_id) != job:
                self.rows[job.job_id] = job

    def trouble(self, effect: Effect, *, after: bool) -> BaseException:
        """As the libraries tell it."""
        if effect.port == "fal":
            return httpx.ReadTimeout("on purpose")
        if after:
            return ReadTimeoutError(endpoint_url=f"https://{effect.port}.example")
        error = {"Error": {"Code": "InternalServerError", "Message": "on purpose"}}
        return ClientError(cast("Any", error), effect.method)

    # ------------------------------------------------------------------- from outside

    def drop(
        self, key: str = "portrait/ada.zip", data: bytes = ARCHIVE, metadata: Any = None
    ) -> DatasetVersion:
        """An object in moto's bucket."""
        put = self.aws.s3.put_object(
            Bucket="datasets", Key=key, Body=data, Metadata=dict(metadata or {})
        )
        dataset = DatasetVersion(
            bucket="datasets",
            key=key,
            version_id=put["VersionId"],
            etag=put["ETag"].strip('"'),
            size=len(data),
        )
        self.dropped.append(dataset)
        return dataset

    @property
    def expected(self) -> list[str]:
        """A job for each."""
        return [job_id_for(each.bucket, each.key, each.version_id) for each in self.dropped]

    def settle(self) -> None:
        """Look at what lies in the models bucket, and what was left unfinished there."""
        s3 = self.aws.s3
        for item in s3.list_objects_v2(Bucket="models").get("Contents", []):
            got = s3.get_object(Bucket="models", Key=item["Key"])
            self.bucket.files[item["Key"]] = got["Body"].read()
        for upload in s3.list_multipart_uploads(Bucket="models").get("Uploads", []):
            self.violated(f"an upload of {upload['Key']} was left behind")
        self.jobs = cast("Any", self.table)


@contextmanager
def on_moto(hand: Mortal) -> Iterator[Cloud]:
    """A cloud stage in this process, empty at first; each function has the rights of its own role."""
    functions.start_anew()
    with moto() as aws, ExitStack() as stack:
        cloud = Cloud(hand, aws)
        guard = Guard.of(Names.of_environment(cloud.environment.variables()))
        stack.enter_context(guarded(guard, lambda: cloud.inside > 0))
        make = BaseClient._make_api_call  # type: ignore[attr-defined]  # what every call comes to

        def called(client: Any, operation: str, arguments: Any) -> Any:
            service = client.meta.service_model.service_name
            return cloud.call(service, operation, lambda: made(client, operation, arguments))

        def made(client: Any, operation: str, arguments: Any) -> Any:
            answer = make(client, operation, arguments)
            if operation == "PutEvents":
                details = (entry["Detail"] for entry in arguments["Entries"])
                cloud.heard.changes += map(StatusChange.model_validate_json, details)
            return answer

        with (
            patch.object(boto3, "client", kept_client),
            patch.dict("os.environ", cloud.environment.variables()),
            patch.object(base.Bootstrap, "clock", cloud.clock),
            patch.object(SubmitBootstrap, "pictures", BlindPictures()),
            patch.object(BaseClient, "_make_api_call", called),
            patch.object(
                httpx.HTTPTransport, "handle_request", lambda _, request: cloud.answer(request)
            ),
        ):
            yield cloud
    functions.start_anew()
    assert guard.denied == set(), guard.denied
