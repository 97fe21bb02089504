"""The usual pipeline on moto, invoked as S3 and fal would."""

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, ClassVar, Self
from unittest.mock import patch

import httpx
from aws_lambda_powertools.utilities.idempotency import base as handling
from aws_lambda_powertools.utilities.idempotency.persistence import base, datarecord, dynamodb
from botocore.exceptions import ClientError

from lora_drop.jobs.job import DatasetVersion
from tests.resilience.comparison.accidents import WEBHOOK_URL, Ending, Killed, client
from tests.support.aws import Aws
from tests.support.builders import APPLICATION, make_archive, s3_event
from tests.support.fal_answers import Post

DATASETS, MODELS, JOBS, RECORDS = "naive-datasets", "naive-models", "naive-jobs", "naive-records"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "FAL_APPLICATION": APPLICATION,
    "IDEMPOTENCY_TABLE": RECORDS,
    "JOBS_TABLE": JOBS,
    "MODELS_BUCKET": MODELS,
    "WEBHOOK_URL": WEBHOOK_URL,
}
# An asynchronous invocation that fails is made twice more, a minute and two minutes later.
ASYNCHRONOUS = (timedelta(), timedelta(minutes=1), timedelta(minutes=2))


class _Later(datetime):
    offset: ClassVar[timedelta] = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.offset


@dataclass(frozen=True)
class _Context:
    remaining: timedelta

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining.total_seconds() * 1000)


class Naive:
    """S3 → Lambda → fal_client under Powertools' idempotency; the webhook copies the files."""

    name = "naive"

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._dropped = 0
        self.lifetime = timedelta(minutes=15)  # Lambda's longest
        for bucket in (DATASETS, MODELS):
            aws.s3.create_bucket(Bucket=bucket)
        aws.s3.put_bucket_versioning(Bucket=DATASETS, VersioningConfiguration={"Status": "Enabled"})
        for table, key in ((JOBS, "request_id"), (RECORDS, "id")):
            aws.dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        # As in Lambda, the module reads its environment when it is imported.
        self.functions: Any = importlib.import_module("tests.resilience.comparison.naive_functions")

    def drop(self, timeout: httpx.Timeout) -> None:
        self._dropped += 1
        self._timeout = timeout
        key = f"ada-{self._dropped}.zip"
        put = self._aws.s3.put_object(Bucket=DATASETS, Key=key, Body=make_archive())
        self._dataset = DatasetVersion(bucket=DATASETS, key=key, version_id=put["VersionId"])

    def arrive(self) -> None:
        """S3 invokes the function asynchronously, and Lambda tries three times in all."""
        for pause in ASYNCHRONOUS:
            self.pass_time(pause)
            try:
                with client(self._timeout) as fal, patch("fal_client.submit", fal.submit):
                    self.functions.submit(s3_event(self._dataset), _Context(self.lifetime))
            except Killed as killed:
                self.pass_time(killed.after)
            except Exception:  # noqa: BLE001, S112  # Lambda takes every one for a failure
                continue
            else:
                return

    def pass_time(self, span: timedelta) -> None:
        _Later.offset += span

    def call_back(self, post: Post, body: bytes, *, forged: bool = False) -> bool:  # noqa: ARG002  # it never checks the sender
        """API Gateway answers 502 for a function that fails."""
        try:
            answer = self.functions.webhook({"body": body.decode()}, _Context(self.lifetime))
        except (Exception, Killed):  # noqa: BLE001  # Lambda takes every one for a failure
            return False
        return bool(answer["statusCode"] == httpx.codes.OK)

    def failing_write(self) -> AbstractContextManager[None]:
        """The row of the request is refused once."""
        throttled = ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem")
        return _first(self.functions.jobs, "put_item", throttled)

    def dying_copy(self) -> AbstractContextManager[None]:
        """An upload that is not complete leaves no object."""
        return _first(self.functions.s3, "upload_fileobj", Killed())

    @contextmanager
    def whole_copy(self) -> Iterator[None]:
        """httpx.get() instead of urllib's stream."""

        def copy(url: str, key: str) -> None:
            body = httpx.get(url).raise_for_status().content
            self._aws.s3.put_object(Bucket=MODELS, Key=key, Body=body)

        with patch.object(self.functions, "copy", copy):
            yield

    def recover(self) -> None:
        self.pass_time(timedelta(minutes=30))

    def ending(self, posts: Sequence[Post]) -> Ending:
        """Its own table, and what lies in the bucket for the last request that was accepted."""
        rows = self._rows()
        mine = {key for key, row in rows.items() if row.get("dataset") == self._dataset.key}
        states = {rows[each]["status"] for each in mine} or {
            rows[post.request_id]["status"] for post in posts if post.request_id in rows
        }
        kept = [data for post in posts if (data := self._kept(post)) is not None]
        says = " ".join(sorted(states)) or "nothing"
        return Ending(
            known=frozenset(mine),
            says=f"{says}, of whom?" if states and not mine else says,
            weights=kept[-1] if kept else None,
            done=states == {"COMPLETED"} and bool(mine),
        )

    def _rows(self) -> dict[str, dict[str, str]]:
        items = self._aws.dynamodb.scan(TableName=JOBS)["Items"]
        plain = [{name: value["S"] for name, value in item.items()} for item in items]
        return {row["request_id"]: row for row in plain}

    def _kept(self, post: Post) -> bytes | None:
        key = f"{post.request_id}/lora.safetensors"
        if not self._aws.s3.list_objects_v2(Bucket=MODELS, Prefix=key)["KeyCount"]:
            return None
        return self._aws.s3.get_object(Bucket=MODELS, Key=key)["Body"].read()


@contextmanager
def surroundings() -> Iterator[None]:
    clock = SimpleNamespace(datetime=_Later, date=date, time=time, timedelta=timedelta)
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        for module in (handling, base, datarecord, dynamodb):
            stack.enter_context(patch.object(module, "dt", clock))
        stack.enter_context(patch("fal_client.client._get_retry_delay", lambda *_, **__: 0.0))
        yield


@contextmanager
def _first(owner: Any, name: str, error: BaseException) -> Iterator[None]:
    real, pending = getattr(owner, name), [error]

    def call(*arguments: Any, **named: Any) -> Any:
        if pending:
            raise pending.pop()
        return real(*arguments, **named)

    with patch.object(owner, name, call):
        yield
