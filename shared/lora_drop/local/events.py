"""The events of ``events/`` made to fit the stack that is up: its buckets, its jobs, its keys.

A committed event is as real as it can be and belongs to no stack: its bucket is not there, its
signature is long stale. ``lora-drop event NAME | sam local invoke FUNCTION -e -`` needs live ones.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import Job
from lora_drop.local.deployment import client
from lora_drop.local.stack import LocalStack
from lora_drop.local.state_file import RunningStack, StackError
from lora_drop.local.tools import deployment_files, none_is_up
from lora_drop.messages import ProofRequest, StoreRequest
from lora_drop.simulator.webhooks import signed_headers
from lora_drop.simulator.wire import WebhookKey, client_context, now

EVENTS = deployment_files() / "events"
ABOUT_OBJECTS = frozenset({"s3_put", "s3_put_in_sqs"})
ABOUT_JOBS = frozenset(
    {
        *(
            "webhook_ok",
            "webhook_error",
            "webhook_forged",
            "results_batch",
            "fetch_batch",
            "proof_batch",
            "notify_batch",
        ),
        *("job_item", "job_resolve", "job_forget"),
    }
)
FAILURES = (StackError, BotoCoreError, ClientError, httpx.HTTPError, OSError)

type Event = dict[str, Any]


class EventError(RuntimeError):
    """Raised when an event cannot be made; says what is missing."""


@dataclass(frozen=True, slots=True)
class FreshEvents:
    """Makes the committed events fit a running stack."""

    local: LocalStack
    stack: RunningStack

    def s3_put(self, event: Event, *, key: str) -> Event:
        """S3's notice of the newest version under this key."""
        bucket = self.stack.outputs["DatasetsBucketName"]
        head = self._head(bucket, key)
        notice = event["Records"][0]["s3"]
        notice["bucket"] |= {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}
        notice["object"] |= {
            "key": quote_plus(key, safe="/"),
            "size": head["ContentLength"],
            "eTag": head["ETag"].strip('"'),
            "versionId": head["VersionId"],
        }
        return event

    def s3_put_in_sqs(self, event: Event, *, key: str) -> Event:
        """The same, as the inbox queue hands it on."""
        for record in event["Records"]:
            record["body"] = json.dumps(self.s3_put(json.loads(record["body"]), key=key))
        return event

    def results_batch(self, event: Event, *, job_id: str) -> Event:
        """One message for the store worker, or for the fetch worker."""
        self._job(job_id)
        event["Records"] = event["Records"][:1]
        event["Records"][0]["body"] = StoreRequest(job_id=job_id).model_dump_json()
        return event

    def proof_batch(self, event: Event, *, job_id: str) -> Event:
        """The message for the submitter that a picture of this training's proof sheet has ended."""
        self._job(job_id)
        event["Records"][0]["body"] = ProofRequest(proof_of=job_id).model_dump_json()
        return event

    def notify_batch(self, event: Event, *, job_id: str) -> Event:
        """The last change of a job, as EventBridge puts it into the notify queue."""
        job, bucket = self._job(job_id), self.stack.outputs["ModelsBucketName"]
        body = json.loads(event["Records"][0]["body"])
        body["detail"] = StatusChange.of(job, bucket=bucket).model_dump(mode="json")
        event["Records"][0]["body"] = json.dumps(body)
        return event

    def asked(self, event: Event, *, job_id: str) -> Event:
        """A question, or a person's decision, about one job."""
        self._job(job_id)
        path = event["resource"].format(job_id=job_id)
        return {**event, "path": path, "pathParameters": {"job_id": job_id}}

    def webhook(self, event: Event, *, job_id: str, forged: bool) -> Event:
        """A delivery about this job, signed now by the simulator, or by a key that fal does not have."""
        job = self._job(job_id)
        if job.request_id is None:
            raise EventError(f"{job_id} has no request at fal that a webhook could tell of")
        body = json.loads(event["body"])
        body |= {"request_id": job.request_id, "gateway_request_id": job.request_id}
        if body["status"] == "OK":
            body["payload"] = self._result(job)
        raw = json.dumps(body, sort_keys=True)
        key = WebhookKey.stranger() if forged else WebhookKey.of(self.local.state / "fal")
        headers = signed_headers(
            key,
            request_id=job.request_id,
            user_id=self.stack.fal.user_id,
            timestamp=int(now().timestamp()),
            body=raw.encode(),
        )
        secret = self._client("secretsmanager").get_secret_value(SecretId=self._webhook_secret())
        token = webhook_token(secret["SecretString"].encode(), job_id)
        return {
            **event,
            "path": f"/webhooks/fal/{job_id}/{token}",
            "pathParameters": {"job_id": job_id, "token": token},
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "body": raw,
        }

    def _client(self, service: str) -> Any:
        return client(self.stack.emulator_url, service)

    def _job(self, job_id: str) -> Job:
        table = self.stack.outputs["JobsTableName"]
        job = DynamoJobs(self._client("dynamodb"), table).get(job_id)
        if job is None:
            raise EventError(f"There is no job {job_id} on this stack; lora-drop jobs lists them")
        return job

    def _head(self, bucket: str, key: str) -> Mapping[str, Any]:
        try:
            return dict(self._client("s3").head_object(Bucket=bucket, Key=key))
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            raise EventError(
                f"There is no object {key} in {bucket}; drop one: lora-drop train PATH --key {key}"
            ) from error

    def _webhook_secret(self) -> str:
        function = self.stack.outputs["WebhookFunctionName"]
        found = self._client("lambda").get_function_configuration(FunctionName=function)
        return str(found["Environment"]["Variables"]["WEBHOOK_SECRET"])

    def _result(self, job: Job) -> Mapping[str, Any]:
        fal = self.stack.fal
        context = client_context(fal.ca_file) if fal.ca_file else True
        url = f"{fal.url}/{job.application}/requests/{job.request_id}"
        with httpx.Client(verify=context, trust_env=False) as http:
            answer = http.get(url, headers={"Authorization": f"Key {fal.key}"})
        if not answer.is_success:
            raise EventError(f"fal has no result of {job.job_id}: {answer.text}")
        return dict(answer.json())


def fresh_event(local: LocalStack, name: str, *, job_id: str, key: str) -> Event:
    """The committed event of this name, made fit for the stack that is up; raises EventError."""
    names = sorted(each.stem for each in EVENTS.glob("*.json"))
    if name not in names:
        raise EventError(f"There is no event {name}; there are {', '.join(names)}")
    if name in ABOUT_OBJECTS and not key:
        raise EventError(f"{name} tells of a dropped object: name it with --key KEY")
    if name in ABOUT_JOBS and not job_id:
        raise EventError(f"{name} is about a job: name it with --job JOB_ID")
    stack = local.running()
    if stack is None:
        raise EventError(none_is_up())
    fresh = FreshEvents(local, stack)
    makers: Mapping[str, Callable[[Event], Event]] = {
        "s3_put": lambda event: fresh.s3_put(event, key=key),
        "s3_put_in_sqs": lambda event: fresh.s3_put_in_sqs(event, key=key),
        "webhook_ok": lambda event: fresh.webhook(event, job_id=job_id, forged=False),
        "webhook_error": lambda event: fresh.webhook(event, job_id=job_id, forged=False),
        "webhook_forged": lambda event: fresh.webhook(event, job_id=job_id, forged=True),
        "results_batch": lambda event: fresh.results_batch(event, job_id=job_id),
        "fetch_batch": lambda event: fresh.results_batch(event, job_id=job_id),
        "proof_batch": lambda event: fresh.proof_batch(event, job_id=job_id),
        "notify_batch": lambda event: fresh.notify_batch(event, job_id=job_id),
        "job_item": lambda event: fresh.asked(event, job_id=job_id),
        "job_resolve": lambda event: fresh.asked(event, job_id=job_id),
        "job_forget": lambda event: fresh.asked(event, job_id=job_id),
    }
    event: Event = json.loads((EVENTS / f"{name}.json").read_text())
    return makers.get(name, dict)(event)


def printable_event(name: str, *, job_id: str, key: str) -> Event:
    """The event for the stack of this machine; raises EventError for every failure."""
    try:
        return fresh_event(LocalStack.here(), name, job_id=job_id, key=key)
    except FAILURES as failure:
        raise EventError(str(failure)) from failure
