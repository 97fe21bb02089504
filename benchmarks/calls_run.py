"""``python -m benchmarks.calls_run JOBS RANK [DATASET]``: so many good jobs one after the other, in one warm process; their calls as JSON.

RANK is that of the LoRA: 1 has 5.6 MB, 16 has 90 MB. Each job is dropped, sent, seen while it trains by one round of the
reconciler, called back about and stored. A round without a job that is late comes before each: what that costs is the
stack's, and no job's. Another comes six minutes after its end, and one closes it hours later.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import boto3
import httpx
from moto import mock_aws

from benchmarks.calls_stack import (
    ENVIRONMENT,
    Calls,
    Clock,
    Fal,
    event,
    furnish,
    handlers,
    s3_notice,
)
from lora_drop.local.stack import SAMPLE
from lora_drop.simulator.lora import write_lora

OK = 200


class Context:
    """What Lambda tells a function of itself."""

    function_name = aws_request_id = "benchmark"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:benchmark"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Always enough."""
        return 600_000


class Pipeline:
    """One stack whose messages are carried by hand."""

    def __init__(self, fal: Fal, clock: Clock, calls: Calls, dataset: Path) -> None:
        self.fal, self.clock, self._calls = fal, clock, calls
        self._functions = handlers()
        self._s3, self._sqs = boto3.client("s3"), boto3.client("sqs")
        self._number, self._dataset = 0, dataset

    def send(self) -> None:
        """Drop a dataset and send its job."""
        self._invoke("submit", "submit", self._dropped())

    def job(self) -> dict[str, Any]:
        """Run one job from its drop to its closing; its calls by what was going on."""
        self._calls.made.clear()
        fal_before = self.fal.calls
        self._invoke("reconcile", "idle", event("schedule"))
        self.send()
        self.clock.later(minutes=6)
        self._invoke("reconcile", "round", event("schedule"))
        self._invoke("webhook", "webhook", self.fal.delivery(self.clock()))
        self._invoke("store", "store", self._handed_over())
        asked = self.fal.calls - fal_before
        self._check()
        for hours in (0.1, 2):
            self.clock.later(hours=hours)
            self._invoke("reconcile", "afterwards", event("schedule"))
        self.clock.later(hours=1)
        return {"calls": self._counted(), "fal": asked}

    def _invoke(self, name: str, phase: str, given: dict[str, Any]) -> None:
        self._calls.function = phase
        try:
            answer = self._functions[name].handler(given, Context())
        finally:
            self._calls.function = ""
        if answer.get("batchItemFailures") or answer.get("statusCode", OK) != OK:
            raise RuntimeError(f"{name}: {answer}")

    def _dropped(self) -> dict[str, Any]:
        self._number += 1
        key, data = f"portrait/person{self._number}.zip", self._dataset.read_bytes()
        # With a phrase of its own it is another training, for the same photos.
        metadata = {"trigger-phrase": f"person{self._number}"}
        put = self._s3.put_object(Bucket="datasets", Key=key, Body=data, Metadata=metadata)
        return s3_notice(key, len(data), put["ETag"].strip('"'), put["VersionId"])

    def _handed_over(self) -> dict[str, Any]:
        url = os.environ["RESULTS_QUEUE_URL"]
        [message] = self._sqs.receive_message(QueueUrl=url)["Messages"]
        self._sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found = event("results_batch")
        return {"Records": [{**found["Records"][0], "body": message["Body"]}]}

    def _check(self) -> None:
        """See that it is a job that went well."""
        prefix = f"portrait/person{self._number}/"
        found = self._s3.list_objects_v2(Bucket="models", Prefix=prefix)["Contents"]
        names = {each["Key"].rsplit("/", 1)[-1] for each in found}
        wanted = {"report.html", "report.json", "lora.safetensors", "config.json", "job.json"}
        if missing := wanted | {"status.json", "latest.json"} - names:
            missing -= names
            if missing:
                raise RuntimeError(f"missing: {missing}")
        [status] = [each["Key"] for each in found if each["Key"].endswith("status.json")]
        with self._s3.get_object(Bucket="models", Key=status)["Body"] as body:
            state = json.loads(body.read())["status"]
        if state != "SUCCEEDED":
            raise RuntimeError(f"{status}: {state}")

    def _counted(self) -> dict[str, dict[str, int]]:
        found: dict[str, Counter[str]] = {}
        for phase, service, operation in self._calls.made:
            found.setdefault(phase, Counter())[f"{service}.{operation}"] += 1
        return {phase: dict(counter) for phase, counter in found.items()}


@contextmanager
def pipeline(rank: int, dataset: Path = SAMPLE) -> Iterator[Pipeline]:
    """A stack on moto, and a fal whose LoRAs have this rank."""
    clock, calls = Clock(), Calls()
    with TemporaryDirectory() as folder, mock_aws(), ExitStack() as stack:
        lora = Path(folder, "lora.safetensors")
        write_lora(lora, rank=rank, seed="benchmark", metadata={})
        fal = Fal(lora)
        stack.enter_context(patch.dict(os.environ, ENVIRONMENT))
        os.environ.update(furnish())
        stack.enter_context(calls.noted())
        from lora_drop.adapters.download_connections import FileTransport  # noqa: PLC0415  # after the environment
        from lora_drop.bootstrap.base import Bootstrap  # noqa: PLC0415

        for transport in (httpx.HTTPTransport, FileTransport):
            answer = patch.object(
                transport, "handle_request", lambda _, request: fal.answer(request)
            )
            stack.enter_context(answer)
        stack.enter_context(patch.object(Bootstrap, "clock", clock))
        yield Pipeline(fal, clock, calls, dataset)


def main(jobs: int, rank: int, dataset: Path = SAMPLE) -> None:
    """Print the calls of each job, a line each."""
    with pipeline(rank, dataset) as stack:
        for _ in range(jobs):
            print(json.dumps(stack.job()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:]))
