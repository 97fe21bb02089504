"""Runs a canary's way through the functions under X-Ray, and prints each trace document as a line.

A program of its own: X-Ray's SDK patches botocore for good, and Powertools traces only what runs in
Lambda's environment.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

LAMBDA = {
    "LAMBDA_TASK_ROOT": "/var/task",
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "POWERTOOLS_SERVICE_NAME": "lora-drop",
    "POWERTOOLS_METRICS_NAMESPACE": "LoraDrop",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def main() -> None:
    """Everything is imported here, after the environment is Lambda's."""
    os.environ |= LAMBDA
    os.environ.pop("POWERTOOLS_TRACE_DISABLED", None)
    from aws_xray_sdk.core import xray_recorder  # noqa: PLC0415  # it looks at the environment

    class Emitter:
        """In the place of X-Ray's daemon."""

        def send_entity(self, entity: Any) -> None:
            sys.stdout.write(json.dumps(json.loads(entity.serialize())) + "\n")

        def set_daemon_address(self, _: str) -> None:
            """There is none."""

    # In Lambda subsegments are sent one by one; here as soon as each ends.
    xray_recorder.configure(emitter=Emitter(), sampling=False, streaming_threshold=0)
    _the_way_through()


def _the_way_through() -> None:
    import httpx  # noqa: PLC0415
    import pytest  # noqa: PLC0415

    from functions.jobs.handler import handler as jobs  # noqa: PLC0415
    from functions.store.handler import handler as store  # noqa: PLC0415
    from functions.submit.handler import handler as submit  # noqa: PLC0415
    from functions.webhook.handler import handler as webhook  # noqa: PLC0415
    from lora_drop.jobs.ids import webhook_token  # noqa: PLC0415
    from tests.security.canary import canary_dataset  # noqa: PLC0415
    from tests.support.aws import moto  # noqa: PLC0415
    from tests.support.builders import SECRET, make_dataset, s3_event, signed, webhook_body  # noqa: PLC0415
    from tests.support.lambda_environment import RESULT, Context, Internet, LambdaEnvironment, event  # noqa: PLC0415
    from tests.support.memory import ManualClock  # noqa: PLC0415
    from tests.support.silent_s3 import silence_s3  # noqa: PLC0415

    asked: dict[Callable[..., Any], dict[str, Any]] = {}

    def run(handler: Callable[..., Any], request: dict[str, Any]) -> None:
        asked[handler] = request
        handler(request, Context())

    with moto() as aws, pytest.MonkeyPatch.context() as patch:
        internet, clock = Internet(), ManualClock()
        environment = LambdaEnvironment(aws, internet, clock, output=str)  # nobody listens
        for name, value in environment.variables().items():
            patch.setenv(name, value)
        patch.setattr("lora_drop.bootstrap.base.Bootstrap.clock", clock)
        patch.setattr(
            httpx.HTTPTransport, "handle_request", lambda _, request: internet.answer(request)
        )
        put = aws.s3.put_object(
            Bucket="datasets", Key=canary_dataset.KEY, Body=canary_dataset.dataset()
        )
        run(submit, s3_event(make_dataset(canary_dataset.KEY, version_id=put["VersionId"])))
        job = environment.only_job()
        body = webhook_body(payload=RESULT)
        token = webhook_token(SECRET, job.job_id)
        several = {"multiValueHeaders": signed(body), "body": body.decode()}
        run(
            webhook, event("webhook_ok") | several | {"path": f"/webhooks/fal/{job.job_id}/{token}"}
        )
        [record, _] = event("results_batch")["Records"]
        run(store, {"Records": [record | {"body": json.dumps({"job_id": job.job_id})}]})
        run(jobs, event("job_item") | {"path": f"/jobs/{job.job_id}"})
        assert environment.only_job().status == "SUCCEEDED", environment.only_job()
        silence_s3(patch)
        for handler in (store, submit):  # once more, and S3 does not answer
            with suppress(Exception):
                run(handler, asked[handler])


if __name__ == "__main__":
    main()
