"""All functions together: Lambda hands messages over, S3 notifies, fal fetches, each within its rights."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.messages import s3_notice_for
from tests.security.iam.arns import Names
from tests.security.iam.guard import Guard
from tests.security.iam.policies import functions
from tests.security.iam.rights import Right
from tests.support.builders import make_archive
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_setup import handlers, prepared_environment

type Scenario = Callable[["Harness"], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Register one thing that the functions do together, with what must be true at its end."""
    SCENARIOS[function.__name__] = function
    return function


class CallRefusedError(Exception):
    """AWS or fal was refused what it does in the name of a role."""


@dataclass
class Harness:
    """An environment, its guard, and what AWS itself does around the functions."""

    environment: LambdaEnvironment
    guard: Guard

    @property
    def names(self) -> Names:
        """Return the names of the environment's resources."""
        return Names.of_environment(self.environment.variables())

    def invoke(self, function: str, request: dict[str, Any]) -> Any:
        """A function's answer. Lambda writes its log and sends its trace; raises CallRefusedError."""
        self._acts(function, *acts_around(function, self.names))
        return handlers()[function].handler(request, Context())

    def deliver(self, function: str) -> list[str]:
        """Hand over what waits in a function's queue, one by one; the bodies of what came back."""
        back: list[str] = []
        for queue in queues_of(function):
            arn = self.names.arn(queue)
            polls = ("sqs:ReceiveMessage", "sqs:GetQueueAttributes", "sqs:DeleteMessage")
            self._acts(function, *(Right(action, arn) for action in polls))
            for body in self.environment.aws.messages(self._url(queue)):
                [record] = event("s3_put_in_sqs")["Records"]
                batch = {"Records": [{**record, "body": body, "eventSourceARN": arn}]}
                back += [body for _ in self.invoke(function, batch)["batchItemFailures"]]
        return back

    def drop(self, key: str = "portrait/ada.zip", *, notify: bool = True, **how: Any) -> str:
        """Upload a dataset, of which S3 notifies the inbox; return its version."""
        metadata = how.pop("metadata", {})
        put = self.environment.aws.s3.put_object(
            Bucket="datasets", Key=key, Body=make_archive(**how), Metadata=metadata
        )
        version = DatasetVersion(
            bucket="datasets", key=key, version_id=put["VersionId"], etag=put["ETag"].strip('"')
        )
        if notify:
            self._put_into("InboxQueue", json.dumps(s3_notice_for(version)))
        return put["VersionId"]

    def submitted(self, **how: Any) -> Job:
        """The job of a dataset that was dropped and handed over."""
        self.drop(**how)
        assert self.deliver("SubmitFunction") == []
        return self.environment.all_jobs()[0]

    def asked(self, method: str, path: str, body: str | None = None, **query: str) -> Any:
        """Return the answer of the jobs API."""
        request = event("job_resolve") | {
            "httpMethod": method,
            "path": path,
            "resource": path,
            "body": body,
            "queryStringParameters": query or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        }
        answer = self.invoke("JobsFunction", request)
        assert answer["statusCode"] in (200, 202), answer["body"]
        return json.loads(answer["body"])

    def uploaded(self, form: dict[str, Any], function: str = "JobsFunction") -> str:
        """The version that S3 keeps of a ZIP sent with a form that a function has signed; raises CallRefusedError."""
        self._acts(function, Right("s3:PutObject", f"arn:aws:s3:::datasets/{form['key']}"))
        sent = {"file": make_archive()}
        answer = requests.post(form["url"], data=form["fields"], files=sent, timeout=5)
        assert answer.status_code == 204
        head = self.environment.aws.s3.head_object(Bucket="datasets", Key=form["key"])
        return head["VersionId"]

    def fetched(self, url: str, function: str = "SubmitFunction") -> bytes:
        """What fal gets from an address that a function has signed; raises CallRefusedError."""
        parts = urlsplit(url)
        bucket, key = (parts.hostname or "").partition(".")[0], unquote(parts.path[1:])
        version = parse_qs(parts.query).get("versionId", [])
        action = "s3:GetObjectVersion" if version else "s3:GetObject"
        self._acts(function, Right(action, f"arn:aws:s3:::{bucket}/{key}"))
        place: Any = {
            "Bucket": bucket,
            "Key": key,
            **({"VersionId": version[0]} if version else {}),
        }
        return self.environment.aws.s3.get_object(**place)["Body"].read()

    def waiting(self, queue: str) -> list[str]:
        """The bodies of what waits in a queue, taken out."""
        return self.environment.aws.messages(self._url(queue))

    def _put_into(self, queue: str, body: str) -> None:
        self.environment.aws.sqs.send_message(QueueUrl=self._url(queue), MessageBody=body)

    def _url(self, queue: str) -> str:
        name = self.names.arn(queue).rsplit(":", 1)[-1]
        return self.environment.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def _acts(self, function: str, *rights: Right) -> None:
        for right in rights:
            if not self.guard.allows(function, right):
                raise CallRefusedError(f"{function}: {right.action} on {right.resource}")


def queues_of(function: str) -> list[str]:
    """The logical ids of the queues that a function is fed from."""
    return [
        each["Properties"]["Queue"]["Fn::GetAtt"].removesuffix(".Arn")
        for each in functions()[function].get("Events", {}).values()
        if each["Type"] == "SQS"
    ]


def acts_around(function: str, names: Names) -> Iterator[Right]:
    """What Lambda does in a function's name at every invocation, as its page on execution roles says."""
    stream = (
        names.arn(functions()[function]["LoggingConfig"]["LogGroup"]["Ref"]).removesuffix("*")
        + "log-stream:1"
    )
    yield Right("logs:CreateLogStream", stream)
    yield Right("logs:PutLogEvents", stream)


@contextmanager
def new_harness() -> Iterator[Harness]:
    """Return a new harness; what functions print is kept from the screen."""
    printed = io.StringIO()

    def output() -> str:
        text = printed.getvalue()
        printed.seek(0)
        printed.truncate()
        return text

    with redirect_stdout(printed), prepared_environment(output) as (environment, guard):
        yield Harness(environment, guard)
