"""The real template on the emulator, and what can be seen and done of it from outside."""

import io
import json
import os
import random
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from PIL import Image

from lora_drop.adapters.dynamodb_rows import ACCOUNT, JOB, SLOTS, job_of, key_of
from lora_drop.client.stack import find_stack
from lora_drop.client.stack_client import TIMEOUT, StackClient
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.local import deployment
from lora_drop.local.stack import HOME, LocalStack
from lora_drop.local.state_file import Record, RunningStack
from lora_drop.simulator.running import ControlClient

UPLOADERS = 8
QUEUES = ("Inbox", "Results")


@dataclass
class Deployed:
    local: LocalStack
    stack: RunningStack
    fal: ControlClient
    http: httpx.Client
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = deployment.client(self.stack.emulator_url, service)
        return self._clients[service]

    def __getitem__(self, output: str) -> str:
        return self.stack.outputs[output]

    def drop(self, names: Sequence[str]) -> list[str]:
        """A dataset under each name, several at a time; the ids of the jobs they become."""
        s3, bucket = self.client("s3"), self["DatasetsBucketName"]

        def put(name: str) -> str:
            key, body = f"{name}.zip", archive_of_photos(name)
            version = s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
            return job_id_for(bucket, key, version)

        with ThreadPoolExecutor(UPLOADERS) as uploaders:
            return list(uploaders.map(put, names))

    def person(self) -> StackClient:
        with patch.dict(os.environ, {HOME: str(self.local.state)}):
            return StackClient(find_stack("local"), http=self.http)

    def round(self) -> Mapping[str, Any] | None:
        """The schedule's tick, out of turn; None where the function did not get to its end."""
        event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
        answer = self.client("lambda").invoke(
            FunctionName=self["ReconcileFunctionName"], Payload=json.dumps(event).encode()
        )
        said = json.loads(answer["Payload"].read())
        return None if "FunctionError" in answer else said

    def jobs(self) -> dict[str, Job]:
        return {job.job_id: job for job in map(job_of, self._items(JOB))}

    def holders(self) -> frozenset[str]:
        table = self["JobsTableName"]
        got = self.client("dynamodb").get_item(
            TableName=table, Key=key_of(SLOTS, SLOTS), ConsistentRead=True
        )
        return frozenset(got.get("Item", {}).get("holders", {}).get("SS", ()))

    def money(self) -> dict[str, int]:
        """Millionths of a dollar by state, all months together."""
        rows = [item for item in self._items() if item["pk"]["S"] == ACCOUNT]
        return {
            state: sum(int(row.get(state, {}).get("N", "0")) for row in rows)
            for state in ("reserved", "spent", "wasted")
        }

    def messages(self, which: str) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.client("sqs").get_queue_attributes(
            QueueUrl=self[f"{which}Url"], AttributeNames=names
        )["Attributes"]
        return int(got[names[0]]), int(got[names[1]])

    def dead_letters(self) -> dict[str, int]:
        return {name: sum(self.messages(f"{name}DeadLetters")) for name in QUEUES}

    def uploads(self) -> list[str]:
        pages = self.client("s3").get_paginator("list_multipart_uploads")
        found = pages.paginate(Bucket=self["ModelsBucketName"])
        return [row["Key"] for page in found for row in page.get("Uploads", [])]

    def died(self, function: str) -> int:
        failed = f"ESM: Lambda {function} failed"
        return sum(failed in line and "Worker process died" in line for line in self._log())

    def gave_back(self, function: str) -> int:
        """How many messages it could not handle then, of batches of one."""
        none = f"ESM: Lambda {function} processed 0 SQS messages"
        return sum(none in line for line in self._log())

    def _log(self) -> list[str]:
        log = self.local.state / "emulator.log"
        return log.read_text(errors="replace").splitlines()

    def _items(self, sk: str | None = None) -> Iterator[dict[str, Any]]:
        pages = self.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=self["JobsTableName"], ConsistentRead=True):
            yield from (item for item in page["Items"] if sk in (None, item["sk"]["S"]))


type Between = Callable[[str, Path], None]
"""Receives the emulator's address and a folder, once it runs and before anything is deployed there."""


@contextmanager
def deployed(
    fal: ControlClient,
    parameters: Mapping[str, str],
    variables: Mapping[str, str] | None = None,
    *,
    between: Between | None = None,
) -> Iterator[Deployed]:
    with tempfile.TemporaryDirectory(prefix="chaos-stack-") as temporary:
        local = LocalStack(Path(temporary))
        record = Record(local.state)

        @contextmanager
        def step(name: str) -> Iterator[None]:
            stack = record.stack() if name == "sam build" else None
            if stack is not None and between is not None:
                between(stack.emulator_url, local.state)
            yield

        try:
            with patch.dict(os.environ, _how_to_reach(fal)):
                local.up(
                    step=step,
                    fal=fal.base_url,
                    fal_ca=fal.ca_file,
                    parameters=parameters,
                    variables=variables,
                )
            running = local.running()
            assert running is not None
            with httpx.Client(timeout=TIMEOUT) as http:
                yield Deployed(local, running, fal, http)
        finally:
            local.down(say=lambda _: None)


def _how_to_reach(fal: ControlClient) -> dict[str, str]:
    names = (
        "FAL_KEY",
        "FAL_USER_ID",
        "FAL_JWKS_URL",
        "FAL_API_URL",
        "FAL_REST_URL",
        "FAL_CDN_URL",
        "ARTIFACT_HOSTS",
    )
    settings = fal.access.environment()
    return {name: settings[name] for name in names}


IMAGES = 10
SIDE = 64  # pixels


def archive_of_photos(name: str, *, images: int = IMAGES) -> bytes:
    source = random.Random(name)  # noqa: S311  # noise, no secret
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(images):
            archive.writestr(f"photo-{number:02}.jpg", _photo(source))
        archive.writestr("photo-00.txt", f"a portrait of [trigger], {name}")
    return buffer.getvalue()


def _photo(source: random.Random) -> bytes:
    small = Image.frombytes("RGB", (8, 8), source.randbytes(8 * 8 * 3))
    buffer = io.BytesIO()
    small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
