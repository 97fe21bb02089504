"""``python -m benchmarks.warm_run EVENTS RUNS``: CPU milliseconds for an event, of our webhook and of a bare one, as JSON."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import boto3
import httpx
from botocore.client import BaseClient
from nacl.signing import VerifyKey

from benchmarks.calls_run import Context, pipeline
from benchmarks.calls_stack import ENVIRONMENT, Fal
from functions.webhook import handler as webhook
from lora_drop.bootstrap.base import Bootstrap

SECRET = "0123456789abcdef" * 4


def waiting_job() -> tuple[dict[str, Any], Fal, Any]:
    """Return the row of a job that was sent, the fal that has it, and the time."""
    with pipeline(1) as stack:
        stack.send()
        scanned = boto3.client("dynamodb").scan(TableName="jobs")["Items"]
        [row] = [each for each in scanned if each["sk"]["S"] == "job"]
        return row, stack.fal, stack.clock


@contextmanager
def served(row: dict[str, Any]) -> Iterator[None]:
    """AWS at an address of this machine, for all clients that are made meanwhile."""
    with subprocess.Popen(  # noqa: S603  # this very Python, and a module of ours
        [sys.executable, "-m", "benchmarks.warm_server", json.dumps(row), SECRET],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        port = server.stdout.readline() if server.stdout else ""
        address = f"http://127.0.0.1:{int(port)}"
        queues = {f"{name}_QUEUE_URL": f"{address}/{name}" for name in ("INBOX", "RESULTS")}
        try:
            with patch.dict(os.environ, {**ENVIRONMENT, **queues, "AWS_ENDPOINT_URL": address}):
                yield
        finally:
            server.terminate()


class Bare:
    """As little as could do: verify, parse, read the job, send a message."""

    def __init__(self, fal: Fal) -> None:
        keys = fal.key.jwks()["keys"]
        self._key = VerifyKey(_decoded(keys[0]["x"]))
        self._dynamodb, self._sqs = boto3.client("dynamodb"), boto3.client("sqs")
        self._queue = os.environ["RESULTS_QUEUE_URL"]

    def __call__(self, event: dict[str, Any]) -> None:
        """Handle one event."""
        headers, body = event["headers"], event["body"].encode()
        named = [
            headers[f"X-Fal-Webhook-{name}"] for name in ("Request-Id", "User-Id", "Timestamp")
        ]
        message = "\n".join([*named, hashlib.sha256(body).hexdigest()]).encode()
        self._key.verify(message, bytes.fromhex(headers["X-Fal-Webhook-Signature"]))
        json.loads(body)
        job_id = event["pathParameters"]["job_id"]
        key = {"pk": {"S": job_id}, "sk": {"S": "job"}}
        self._dynamodb.get_item(TableName="jobs", Key=key, ConsistentRead=True)
        text = json.dumps({"schema_version": 1, "job_id": job_id})
        self._sqs.send_message(QueueUrl=self._queue, MessageBody=text)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def ours(event: dict[str, Any]) -> None:
    """Handle one event by the real function."""
    answer = webhook.handler(event, Context())
    if answer["statusCode"] != 200:  # noqa: PLR2004  # HTTP's
        raise RuntimeError(answer)


def in_calls(event: dict[str, Any], times: int) -> tuple[float, float]:
    """Return the CPU milliseconds that ours spends within its calls to AWS for an event, and how many these are."""
    took: list[float] = []
    make = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001  # what every call comes to

    def timed(client: BaseClient, operation: str, given: Any) -> Any:
        began = time.thread_time()
        try:
            return make(client, operation, given)
        finally:
            took.append(time.thread_time() - began)

    with patch.object(BaseClient, "_make_api_call", timed):
        for _ in range(times):
            ours(event)
    return 1000 * sum(took) / times, len(took) / times


def milliseconds(call: Callable[[], Any], times: int) -> float:
    """Return the CPU time of this process for one."""
    began = time.process_time()
    for _ in range(times):
        call()
    return 1000 * (time.process_time() - began) / times


def main(events: int, runs: int) -> None:
    """Print the figures of each run."""
    row, fal, clock = waiting_job()
    with (
        served(row),
        patch.object(Bootstrap, "clock", clock),
        patch.object(httpx.HTTPTransport, "handle_request", lambda _, request: fal.answer(request)),
    ):
        webhook.bootstrap.cache_clear()
        event = fal.delivery(clock())
        bare = Bare(fal)
        contenders: dict[str, Callable[[], Any]] = {
            "ours": lambda: ours(event),
            "bare": lambda: bare(event),
        }
        for call in contenders.values():
            milliseconds(call, 5)
        found: dict[str, list[float]] = {name: [] for name in (*contenders, "calls")}
        _, made = in_calls(event, 1)
        for _ in range(runs):
            for name, call in contenders.items():
                found[name].append(milliseconds(call, events))
            found["calls"].append(in_calls(event, events)[0])
    share = sum(found["calls"]) / sum(found["ours"])
    why = (
        f"{share:.0%} of it are its {made:.0f} calls, made by boto3 as the two of the bare one are"
    )
    print(json.dumps({**found, "why": why}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
