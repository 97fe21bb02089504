"""The real functions on moto, with as much of fal as one good job needs; every call to AWS is noted.

Nothing goes over a wire. What moto lacks of S3 is put in: that S3 keeps a CRC64NVME of each whole object and says it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import boto3
import httpx
import yaml
from botocore.client import BaseClient
from nacl.signing import SigningKey

from lora_drop.local.tools import ROOT
from lora_drop.simulator.webhooks import signed_headers
from lora_drop.simulator.wire import WebhookKey

REGION, USER = "us-east-1", "user_1"
BUCKETS, QUEUES = ("datasets", "models"), ("inbox", "results", "orders")
TABLE = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "PYTHONPATH": os.pathsep.join((str(ROOT / "shared"), str(ROOT))),
    "POWERTOOLS_SERVICE_NAME": "lora-drop",
    "POWERTOOLS_METRICS_NAMESPACE": "LoraDrop",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_METRICS_DISABLED": "true",
    "JOBS_TABLE": "jobs",
    "DATASETS_BUCKET": "datasets",
    "MODELS_BUCKET": "models",
    "FAL_APPLICATION": "fal-ai/flux-lora-portrait-trainer",
    "FAL_KEY_SECRET": "fal-key",
    "FAL_RUN_HOST": "fal.run",
    "FAL_QUEUE_RUN_HOST": "queue.fal.run",
    "FAL_API_URL": "https://api.fal.ai/v1",
    "FAL_REST_URL": "https://rest.fal.ai",
    "FAL_CDN_URL": "https://v3.fal.media",
    "FAL_JWKS_URL": "https://rest.fal.ai/.well-known/jwks.json",
    "FAL_USER_ID": USER,
    "WEBHOOK_SECRET": "webhook",
    "RECONCILE_FUNCTION": "reconcile",
    "WEBHOOK_BASE_URL": "https://api.example/live",
    "DATASET_URL_SECONDS": "21600",
    "MAX_IN_FLIGHT": "2",
    "MONTHLY_BUDGET_USD": "1000000",
    "MAX_JOB_USD": "25",
    "ARTIFACT_HOSTS": "fal.media",
    "LATE_AFTER_SECONDS": "300",
    "FACE_CHECK": "false",  # no call depends on it, and it takes most of a check's time
}


class _Loader(yaml.SafeLoader):
    """Reads the template; what CloudFormation puts in is left out."""


_Loader.add_multi_constructor("!", lambda *_: None)


def table_definition() -> Mapping[str, Any]:
    """The jobs table as the template has it."""
    loaded = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506  # a safe loader
    properties = loaded["Resources"]["JobsTable"]["Properties"]
    return {name: properties[name] for name in TABLE}


def event(name: str) -> dict[str, Any]:
    """A committed event."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return loaded


@dataclass
class Clock:
    """The functions' time, which stands until it is moved."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def later(self, **span: float) -> None:
        """Move it."""
        self.now += timedelta(**span)


@dataclass
class Fal:
    """fal's hosts, each request served from its own addresses: one good training after the other."""

    lora: Path
    key: WebhookKey = field(default_factory=lambda: WebhookKey(SigningKey.generate()))
    webhook_url: str = ""
    number: int = 0
    calls: int = 0

    @property
    def request_id(self) -> str:
        """The one of the last POST."""
        return f"019d9e0b-6eb0-7920-8000-{self.number:012}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What fal says."""
        self.calls += 1
        path = request.url.path
        match request.url.host:
            case "queue.fal.run" if request.method == "POST":
                self.number += 1
                self.webhook_url = request.url.params["fal_webhook"]
                return httpx.Response(200, json={"request_id": self.request_id})
            case "queue.fal.run":
                return httpx.Response(200, json={"status": "IN_PROGRESS"})
            case "api.fal.ai" if path.endswith("/pricing"):
                price = {"unit_price": 0.0024, "unit": "step", "currency": "USD"}
                row = {"endpoint_id": ENVIRONMENT["FAL_APPLICATION"], **price}
                return httpx.Response(200, json={"prices": [row]})
            case "api.fal.ai":
                credits_ = {"currency": "USD", "current_balance": 5000.0}
                return httpx.Response(200, json={"credits": credits_})
            case "rest.fal.ai":
                return httpx.Response(200, json=self.key.jwks())
            case _:
                return self._file(request)

    def _file(self, request: httpx.Request) -> httpx.Response:
        data = self._lora if request.url.path.endswith(".safetensors") else b'{"steps": 1000}'
        headers = {"ETag": '"1"', "Accept-Ranges": "bytes"}
        first, _, last = request.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if not first:
            return httpx.Response(200, headers=headers, stream=httpx.ByteStream(data))
        part = data[int(first) : int(last) + 1]
        end = int(first) + len(part) - 1
        headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
        return httpx.Response(206, headers=headers, stream=httpx.ByteStream(part))

    @cached_property
    def _lora(self) -> bytes:
        return self.lora.read_bytes()

    def delivery(self, now: datetime) -> dict[str, Any]:
        """The webhook of the last request, as API Gateway hands it on."""
        base = f"https://v3.fal.media/files/{self.request_id}"
        payload = {
            "diffusers_lora_file": {"url": f"{base}/lora.safetensors"},
            "config_file": {"url": f"{base}/config.json"},
        }
        said = {"request_id": self.request_id, "gateway_request_id": self.request_id}
        body = json.dumps({**said, "status": "OK", "error": None, "payload": payload})
        headers = signed_headers(
            self.key,
            request_id=self.request_id,
            user_id=USER,
            timestamp=int(now.timestamp()),
            body=body.encode(),
        )
        path = "/webhooks/" + self.webhook_url.split("/webhooks/", 1)[1]
        job_id, token = path.split("/")[-2:]
        return event("webhook_ok") | {
            "path": path,
            "pathParameters": {"job_id": job_id, "token": token},
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "body": body,
        }


@dataclass
class Sums:
    """S3's sums of whole objects, which moto does not keep."""

    of: dict[str, str] = field(default_factory=dict)

    def after(self, operation: str, given: Mapping[str, Any], answer: Any) -> None:
        """Remember a sum, or say it."""
        name = "ChecksumCRC64NVME"
        if operation in ("PutObject", "CompleteMultipartUpload") and name in given:
            self.of[given["Key"]] = given[name]
        elif operation == "CreateMultipartUpload":
            answer["ChecksumType"] = given.get("ChecksumType")
        elif operation == "HeadObject" and given["Key"] in self.of:
            answer |= {name: self.of[given["Key"]], "ChecksumType": "FULL_OBJECT"}


@dataclass
class Calls:
    """Every call that a function has made, with the function's name."""

    made: list[tuple[str, str, str]] = field(default_factory=list)
    function: str = ""
    sums: Sums = field(default_factory=Sums)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note all calls that botocore makes for a function; those of the benchmark's own are not."""
        make = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001  # what every call comes to

        def note(client: BaseClient, operation: str, given: Any) -> Any:
            if self.function:
                service = client.meta.service_model.service_name
                self.made.append((self.function, service, operation))
            answer = make(client, operation, given)
            self.sums.after(operation, given, answer)
            return answer

        with patch.object(BaseClient, "_make_api_call", note):
            yield


def furnish() -> dict[str, str]:
    """Make what the template makes; return what the functions are told of it besides."""
    s3, sqs = boto3.client("s3", REGION), boto3.client("sqs", REGION)
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    boto3.client("dynamodb", REGION).create_table(TableName="jobs", **table_definition())
    secrets = boto3.client("secretsmanager", REGION)
    secrets.create_secret(Name="fal-key", SecretString="key-id:key-secret")
    secrets.create_secret(Name="webhook", SecretString="0123456789abcdef" * 4)
    urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}
    return {
        "INBOX_QUEUE_URL": urls["inbox"],
        "RESULTS_QUEUE_URL": urls["results"],
        "FETCH_QUEUE_URL": urls["orders"],
    }


def s3_notice(key: str, size: int, etag: str, version: str) -> dict[str, Any]:
    """S3's event, as the inbox queue hands it on."""
    found = event("s3_put_in_sqs")
    [record] = found["Records"]
    notice = json.loads(record["body"])
    notice["Records"][0]["s3"]["bucket"] |= {"name": "datasets", "arn": "arn:aws:s3:::datasets"}
    notice["Records"][0]["s3"]["object"] |= {
        "key": key,
        "size": size,
        "eTag": etag,
        "versionId": version,
    }
    record["body"] = json.dumps(notice)
    return found


def handlers() -> Mapping[str, ModuleType]:
    """The functions; to be imported once the environment is set."""
    from importlib import import_module  # noqa: PLC0415  # Powertools reads the environment then

    names = ("submit", "reconcile", "webhook", "store")
    return {name: import_module(f"functions.{name}.handler") for name in names}
