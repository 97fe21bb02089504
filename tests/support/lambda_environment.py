"""What the functions run in: the stack's resources, the events, fal on the wire, and calls to AWS."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.client import BaseClient

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.job import Job
from tests.support.aws import Aws
from tests.support.builders import (
    APPLICATION,
    ARTIFACTS,
    KEY,
    REQUEST_ID,
    SECRET,
    USER_ID,
    make_archive,
    make_dataset,
    make_weights,
)
from tests.support.memory import ManualClock

EVENTS = Path(__file__).parents[2] / "events"
FAL_KEY = "fal-key-id:fal-key-secret"
NOTIFY_URL = "https://hooks.example/lora"
NOTIFY_SECRET = "the0notify0secret0as0Secrets0Manager0makes0it0letters0and0digits"
FILES = {ARTIFACTS[0].url: make_weights(5000), ARTIFACTS[1].url: b'{"steps": 1500}'}
RESULT = {
    "diffusers_lora_file": {"url": ARTIFACTS[0].url},
    "config_file": {"url": ARTIFACTS[1].url},
}
type Answer = httpx.Response | Exception


def event(name: str) -> dict[str, Any]:
    """A committed event."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


@dataclass
class Internet:
    """fal's queue, keys, CDN and platform; ``says`` puts another answer in place of one host's.

    ``status`` is what it says of every request, ``listed`` its list of them, ``price`` of a step,
    ``revoked`` a key that it does not know any more.
    """

    requests: list[httpx.Request] = field(default_factory=list)
    says: dict[str, Answer] = field(default_factory=dict)
    status: dict[str, object] = field(default_factory=lambda: {"status": "IN_PROGRESS"})
    listed: list[dict[str, object]] = field(default_factory=list)
    price: float = 0.0024
    revoked: str = ""

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        said = self.says.get(request.url.host)
        if said is None and request.headers.get("Authorization") == f"Key {self.revoked}":
            said = httpx.Response(401, json={"detail": "Authentication required"})
        said = said or self._hosts[request.url.host](request)
        if isinstance(said, Exception):
            raise said
        return said

    @property
    def posts(self) -> list[httpx.Request]:
        """What was paid."""
        return [request for request in self.requests if request.method == "POST"]

    @cached_property
    def _hosts(self) -> dict[str, Callable[[httpx.Request], Answer]]:
        return {
            "queue.fal.run": self._queue,
            "api.fal.ai": self._platform,
            "rest.fal.ai": self._keys,
            "v3.fal.media": self._file,
            "hooks.example": lambda _: httpx.Response(204),
            "ada.customer.example": lambda _: httpx.Response(200),
        }

    def _queue(self, request: httpx.Request) -> Answer:
        assert request.headers["Authorization"] == f"Key {FAL_KEY}"
        if request.method == "POST":
            return httpx.Response(200, json={"request_id": REQUEST_ID})
        if request.method == "PUT":
            return httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"})
        asked = request.url.path.endswith("/status")
        if not asked and (error := self.status.get("error")):
            return httpx.Response(422, json={"detail": error})
        return httpx.Response(200, json=self.status if asked else RESULT)

    def _platform(self, request: httpx.Request) -> Answer:
        assert request.headers["Authorization"] == f"Key {FAL_KEY}"
        if request.method == "DELETE":
            done = {"link": ARTIFACTS[0].url, "exception": None}
            return httpx.Response(200, json={"cdn_delete_results": [done]})
        if request.url.path.endswith("/pricing"):
            row = {"endpoint_id": APPLICATION, "unit_price": self.price}
            return httpx.Response(
                200, json={"prices": [{**row, "unit": "step", "currency": "USD"}]}
            )
        return httpx.Response(200, json={"items": self.listed})

    def _keys(self, _: httpx.Request) -> Answer:
        x = base64.urlsafe_b64encode(bytes(KEY.verify_key)).decode().rstrip("=")
        return httpx.Response(200, json={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]})

    def _file(self, request: httpx.Request) -> Answer:
        assert "Authorization" not in request.headers
        return httpx.Response(200, stream=httpx.ByteStream(FILES[str(request.url)]))


class Context(LambdaContext):
    """What Lambda tells a function of itself."""

    _function_name = "lora-drop-function"
    _memory_limit_in_mb = 512
    _invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:lora-drop-function"
    _aws_request_id = "52fdfc07-2182-154f-163f-5f0f9a621d72"


@dataclass
class LambdaEnvironment:
    """The stack's resources and what a person sees of them."""

    aws: Aws
    internet: Internet
    clock: ManualClock
    output: Callable[[], str]  # what was printed since it was asked last

    def __post_init__(self) -> None:
        for bucket in ("datasets", "models"):
            self.aws.s3.create_bucket(Bucket=bucket)
            self.aws.s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        self.table = self.aws.table()
        self.inbox, self.results = self.aws.queue("inbox"), self.aws.queue("results")
        self.dead_inbox = self.aws.queue("dead-inbox")
        self.dead_results = self.aws.queue("dead-results")
        self.fal_key = self.aws.secret("fal-key", FAL_KEY)
        self.webhook_secret = self.aws.secret("webhook", SECRET.decode())
        self.changes, self.dead_changes = self.aws.queue("changes"), self.aws.queue("dead-changes")
        self.orders, self.dead_orders = self.aws.queue("orders"), self.aws.queue("dead-orders")
        self.notify_secret = self.aws.secret("notify", NOTIFY_SECRET)

    def variables(self) -> dict[str, str]:
        """As the template sets it."""
        return {
            "JOBS_TABLE": self.table,
            "DATASETS_BUCKET": "datasets",
            "MODELS_BUCKET": "models",
            "FAL_APPLICATION": APPLICATION,
            "FAL_KEY_SECRET": self.fal_key,
            "FAL_RUN_HOST": "fal.run",
            "FAL_QUEUE_RUN_HOST": "queue.fal.run",
            "FAL_API_URL": "https://api.fal.ai/v1",
            "FAL_REST_URL": "https://rest.fal.ai",
            "FAL_CDN_URL": "https://v3.fal.media",
            "FAL_JWKS_URL": "https://rest.fal.ai/.well-known/jwks.json",
            "FAL_USER_ID": USER_ID,
            "WEBHOOK_SECRET": self.webhook_secret,
            "RECONCILE_FUNCTION": "reconcile",
            "WEBHOOK_BASE_URL": "https://api.example/live",
            "DATASET_URL_SECONDS": "21600",
            "INBOX_QUEUE_URL": self.inbox,
            "INBOX_DEAD_LETTERS_URL": self.dead_inbox,
            "RESULTS_QUEUE_URL": self.results,
            "RESULTS_DEAD_LETTERS_URL": self.dead_results,
            "MAX_IN_FLIGHT": "2",
            "MONTHLY_BUDGET_USD": "100",
            "MAX_JOB_USD": "25",
            "ARTIFACT_HOSTS": "fal.media",
            "LATE_AFTER_SECONDS": "300",
            "DATASET_HOSTS": "photos.example",
            "FETCH_QUEUE_URL": self.orders,
            "FETCH_DEAD_LETTERS_URL": self.dead_orders,
            "NOTIFY_URL": NOTIFY_URL,
            "NOTIFY_HOSTS": "customer.example",
            "NOTIFY_SECRET": self.notify_secret,
            "NOTIFY_QUEUE_URL": self.changes,
            "NOTIFY_DEAD_LETTERS_URL": self.dead_changes,
        }

    @property
    def jobs(self) -> DynamoJobs:
        return DynamoJobs(self.aws.dynamodb, self.table)

    def add_job(self, job: Job) -> Job:
        """This job, kept and published as if it had come this far here."""
        assert self.jobs.add(job)
        self.jobs.mark_published(job.job_id, job.version)
        return job

    def empty_table(self) -> None:
        """Delete every row of the jobs table."""
        for row in self.aws.dynamodb.scan(TableName=self.table)["Items"]:
            key = {name: row[name] for name in ("pk", "sk")}
            self.aws.dynamodb.delete_item(TableName=self.table, Key=key)

    def break_row(self, job_id: str, text: str) -> None:
        """Put a text where the row of a job has a number of images."""
        self.aws.dynamodb.update_item(
            TableName=self.table,
            Key={"pk": {"S": job_id}, "sk": {"S": "job"}},
            UpdateExpression="SET images = :value",
            ExpressionAttributeValues={":value": {"S": text}},
        )

    def rotate_fal_key(self, value: str) -> None:
        """Put another value into the secret of the fal key."""
        self.aws.secrets.put_secret_value(SecretId=self.fal_key, SecretString=value)

    def all_jobs(self) -> tuple[Job, ...]:
        """Newest first."""
        return self.jobs.page(status=None, limit=100, cursor=None).jobs

    def only_job(self) -> Job:
        """The one job there is."""
        [job] = self.all_jobs()
        return job

    def job(self, job_id: str) -> Job:
        found = self.jobs.get(job_id)
        assert found
        return found

    def drop(self, **archive: Any) -> str:
        """The events' dataset, in the bucket; its version."""
        dataset = make_dataset()
        put = self.aws.s3.put_object(
            Bucket=dataset.bucket, Key=dataset.key, Body=make_archive(**archive)
        )
        return put["VersionId"]

    def files(self) -> dict[str, bytes]:
        """What lies in the models bucket, by its name alone."""
        listed = self.aws.s3.list_objects_v2(Bucket="models").get("Contents", [])
        return {
            item["Key"].rsplit("/", 1)[-1]: self.aws.s3.get_object(
                Bucket="models", Key=item["Key"]
            )["Body"].read()
            for item in listed
        }

    def output_lines(self) -> list[dict[str, Any]]:
        """Every line that was logged or counted until now."""
        return [json.loads(line) for line in self.output().splitlines()]


# What only reads; anything else counts as a write.
READS = ("Get", "BatchGet", "Query", "Head", "List", "Describe", "Receive")


@dataclass(frozen=True)
class Call:
    """One call."""

    service: str
    operation: str
    parameters: dict[str, Any]

    @property
    def writes(self) -> bool:
        """Whether anything may be different afterwards."""
        return not self.operation.startswith(READS)


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """The calls that are made until the block ends, those that fail as well."""
    calls: list[Call] = []
    make: Any = vars(BaseClient)["_make_api_call"]

    def note(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        calls.append(Call(client.meta.service_model.service_name, operation, parameters))
        return make(client, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", note):
        yield calls
