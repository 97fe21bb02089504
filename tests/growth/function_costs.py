"""What each function uses for one event of a job that goes well: CPU, calls and bytes; on moto, whose own CPU is left out."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from moto.core.botocore_stubber import BotocoreStubber

import tests.conftest  # noqa: F401  # the environment of all tests
from lora_drop.jobs.status import Status
from tests.support.builders import webhook_body
from tests.support.lambda_environment import (
    RESULT,
    Call,
    Context,
    LambdaEnvironment,
    event,
    recorded,
)
from tests.support.lambda_events import job_event, store_event, webhook_event
from tests.support.lambda_setup import handlers, prepared_environment

RUNS = 5
SERVICES = ("dynamodb", "s3", "sqs", "events", "secretsmanager", "lambda")


@dataclass
class Use:
    """What one function has used in each of its runs."""

    ms: list[float] = field(default_factory=list)
    calls: list[Counter[str]] = field(default_factory=list)
    log_bytes: list[int] = field(default_factory=list)

    @property
    def most_calls(self) -> Counter[str]:
        return max(self.calls, key=lambda calls: calls.total())


@dataclass
class Meter:
    """Invokes the functions, and measures each call of one."""

    used: dict[str, Use] = field(default_factory=dict)
    inside: float = 0.0

    def invoke(self, name: str, request: Mapping[str, Any], label: str = "") -> Any:
        use = self.used.setdefault(label or name, Use())
        output = io.StringIO()
        self.inside, began = 0.0, time.process_time()
        with recorded() as calls, redirect_stdout(output):
            answer = handlers()[f"{name}Function"].handler(dict(request), Context())
        use.ms.append(1000 * (time.process_time() - began - self.inside))
        use.calls.append(Counter(_service(each) for each in calls))
        use.log_bytes.append(len(output.getvalue()))
        return answer

    @contextmanager
    def without_moto(self) -> Iterator[None]:
        """Count the time in which moto makes its answers as its own."""
        made: Callable[..., Any] = vars(BotocoreStubber)["__call__"]

        def answer(stubber: BotocoreStubber, *args: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return made(stubber, *args, **options)
            finally:
                self.inside += time.process_time() - began

        with patch.object(BotocoreStubber, "__call__", answer):
            yield


def _service(call: Call) -> str:
    """The service, and for S3 which price its request has."""
    if call.service != "s3":
        return call.service
    free = call.operation.startswith(("Delete", "Abort"))
    read = call.operation.startswith(("Get", "Head"))
    return "s3 free" if free else "s3 read" if read else "s3 write"


def job(meter: Meter, environment: LambdaEnvironment) -> None:
    """One job from the drop to its stored LoRA, watched once, with a round of the reconciler at the end."""
    notice = json.loads(event("s3_put_in_sqs")["Records"][0]["body"])
    notice["Records"][0]["s3"]["object"]["versionId"] = environment.drop()
    [message] = event("s3_put_in_sqs")["Records"]
    meter.invoke("Submit", {"Records": [{**message, "body": json.dumps(notice)}]})
    found = environment.only_job()
    meter.invoke("Webhook", webhook_event(found.job_id, webhook_body(payload=RESULT)))
    meter.invoke("Store", store_event(found.job_id))
    meter.invoke("Jobs", job_event(found.job_id))
    if (status := environment.only_job().status) is not Status.SUCCEEDED:
        raise AssertionError(status)
    environment.clock.now += timedelta(hours=1)
    meter.invoke("Reconcile", event("schedule"), "a round that closes a job")
    meter.invoke("Reconcile", event("schedule"))
    meter.invoke("Reconcile", event("schedule_drift"), "the comparison of trainers")
    meter.invoke("Forget", event("schedule"))


def run() -> list[Mapping[str, Any]]:
    """The use of each function, warm: the first job is left out."""
    meter = Meter()
    for _ in range(RUNS + 1):
        with prepared_environment(lambda: "") as (environment, _), meter.without_moto():
            job(meter, environment)
    return [
        {
            "function": name,
            "ms": use.ms[1:],
            "log_bytes": max(use.log_bytes),
            "calls": use.most_calls,
        }
        for name, use in meter.used.items()
    ]
