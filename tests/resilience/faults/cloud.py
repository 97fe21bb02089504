"""The harness once more, on AWS's own calls and fal's own wire: every one of them is an effect."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from unittest.mock import patch
from urllib.parse import parse_qs

import boto3
import httpx
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from lora_drop.adapters.download_connections import FileTransport
from lora_drop.bootstrap import base
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.fal.status import Failed, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import DatasetVersion
from lora_drop.services.evidence import with_pictures
from tests.resilience.faults import functions
from tests.resilience.faults.crash import CrashInjector
from tests.resilience.faults.effects import Effect, Interceptor
from tests.resilience.faults.fal import Fal, Request
from tests.resilience.faults.harness import ARCHIVE, Harness
from tests.resilience.faults.queues import Queue
from tests.security.iam.arns import Names
from tests.security.iam.guard import Guard, guarded
from tests.support.aws import Aws, kept_client, moto
from tests.support.builders import APPLICATION, KEY
from tests.support.lambda_environment import Internet, LambdaEnvironment
from tests.support.memory import ManualClock, MemoryEvents
from tests.support.memory_files import MemoryResults
from tests.support.pictures import BlindPictures


class MotoHarness(Harness):
    """A harness whose table, buckets and queues are moto's, and whose fal is at the end of httpx.

    moto's queues only take messages in: who gets one when, and how often, is the harness's business.
    """

    def __init__(self, interceptor: Interceptor, aws: Aws) -> None:
        self.aws = aws
        self.inside = 0
        # moto's clock is the real one, and the sweeps compare it with the functions'.
        super().__init__(interceptor, clock=ManualClock(datetime.now(UTC).replace(microsecond=0)))

    def furnish(self) -> None:
        self.environment = LambdaEnvironment(self.aws, Internet(), self.clock, cast("Any", None))
        self.wire = FalHttp(self.fal)
        self.fal.on_accept = self._accepted
        self.table = self.environment.jobs
        self.bucket = MemoryResults()
        self.heard = MemoryEvents()

    def call(self, service: str, operation: str, call: Callable[[], Any]) -> Any:
        if not self.inside:
            return call()
        return self.interceptor.act(Effect(service, operation), call)

    def answer(self, request: httpx.Request) -> httpx.Response:
        effect = Effect("fal", f"{request.method} {request.url.host}")
        return self.interceptor.act(effect, lambda: self.wire.answer(request))

    def invoke(self, name: str, event: Any, then: Callable[[Any], None]) -> None:
        """Invoke as the base does; then what the function sent is in the queues, and its rows are seen."""
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
        for job in with_pictures(self.table):
            if self.rows.get(job.job_id) != job:
                self.rows[job.job_id] = job

    def trouble(self, effect: Effect, *, after: bool) -> BaseException:
        if effect.port == "fal":
            return httpx.ReadTimeout("on purpose")
        if after:
            return ReadTimeoutError(endpoint_url=f"https://{effect.port}.example")
        error = {"Error": {"Code": "InternalServerError", "Message": "on purpose"}}
        return ClientError(cast("Any", error), effect.method)

    def drop(
        self, key: str = "portrait/ada.zip", data: bytes = ARCHIVE, metadata: Any = None
    ) -> DatasetVersion:
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
        return [job_id_for(each.bucket, each.key, each.version_id) for each in self.dropped]

    def settle(self) -> None:
        s3 = self.aws.s3
        for item in s3.list_objects_v2(Bucket="models").get("Contents", []):
            got = s3.get_object(Bucket="models", Key=item["Key"])
            self.bucket.files[item["Key"]] = got["Body"].read()
        for upload in s3.list_multipart_uploads(Bucket="models").get("Uploads", []):
            self.violated(f"an upload of {upload['Key']} was left behind")
        self.jobs = cast("Any", self.table)


@contextmanager
def on_moto(interceptor: CrashInjector) -> Iterator[MotoHarness]:
    """The harness on moto in this process, empty at first; each function has the rights of its own role."""
    functions.reset_handlers()
    with moto() as aws, ExitStack() as stack:
        cloud = MotoHarness(interceptor, aws)
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
            patch.object(FileTransport, "handle_request", lambda _, request: cloud.answer(request)),
        ):
            yield cloud
    functions.reset_handlers()
    assert guard.denied == set(), guard.denied


class FalHttp:
    def __init__(self, fal: Fal) -> None:
        self.fal = fal

    def answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.host:
            case "queue.fal.run":
                return self._queue(request)
            case "api.fal.ai":
                return self._platform(request)
            case "rest.fal.ai":
                x = base64.urlsafe_b64encode(bytes(KEY.verify_key)).decode().rstrip("=")
                return httpx.Response(
                    200, json={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}
                )
            case _:
                return self._file(request)

    def _queue(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            webhook_url = parse_qs(request.url.query.decode())["fal_webhook"][0]
            said = self.fal.submit(
                APPLICATION, json.loads(request.content), webhook_url=webhook_url
            )
            return httpx.Response(200, json={"request_id": said.request_id})
        request_id, what = request.url.path.rsplit("/", 2)[-2:]
        if what != "status":
            request_id = what if what in self.fal.requests else request_id
        return self._state(request_id, status=what == "status")

    def _state(self, request_id: str, *, status: bool) -> httpx.Response:
        fact = self.fal.ask(APPLICATION, request_id)
        match fact:
            case Gone():
                return httpx.Response(404, json={"detail": "Request not found"})
            case Running(started=started):
                return httpx.Response(
                    200, json={"status": "IN_PROGRESS" if started else "IN_QUEUE"}
                )
            case Finished() if not status:
                return httpx.Response(200, json=self.fal.requests[request_id].payload)
            case Failed() if status:
                return httpx.Response(200, json={"status": "COMPLETED", "error": "422"})
            case Failed():
                return httpx.Response(422, json=self.fal.requests[request_id].payload)
            case _:
                return httpx.Response(200, json={"status": "COMPLETED"})

    def _platform(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/by-endpoint"):
            return httpx.Response(503)
        rows = [
            {"request_id": each.request_id, "json_input": dict(each.given)}
            for each in self.fal.requests.values()
        ]
        return httpx.Response(200, json={"items": rows, "has_more": False, "next_cursor": None})

    def _file(self, request: httpx.Request) -> httpx.Response:
        artifact = Artifact(name="any", url=str(request.url))
        data = self.fal.requests[request.url.path.split("/")[2]].files[artifact.url]
        headers = {"ETag": '"1"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if not asked:
            return httpx.Response(200, stream=httpx.ByteStream(data), headers=headers)
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        part = data[first : last + 1]
        headers |= {
            "Content-Range": f"bytes {first}-{last}/{len(data)}",
            "Content-Length": str(len(part)),
        }
        return httpx.Response(206, stream=httpx.ByteStream(part), headers=headers)
