"""Messages between the functions: SQS queues, and the asynchronous call of the reconciler."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.jobs.job import DatasetVersion
from lora_drop.messages import ProofRequest, StatusCheckRequest, StoreRequest, s3_notice_for

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient


_WAITING: Final = "ApproximateNumberOfMessages"


class SqsInbox:
    """The inbox queue."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def announce(self, dataset: DatasetVersion) -> None:
        """Send S3's own notice for a dataset once more."""
        body = json.dumps(s3_notice_for(dataset))
        self._client.send_message(QueueUrl=self._url, MessageBody=body)

    def backlog(self) -> int:
        """Return ApproximateNumberOfMessages: those that no function has received."""
        found = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[_WAITING])
        return int(found["Attributes"][_WAITING])

    def finish_proof(self, job_id: str) -> None:
        """Send a ProofRequest to the submitter."""
        body = ProofRequest(proof_of=job_id).model_dump_json()
        self._client.send_message(QueueUrl=self._url, MessageBody=body)


class SqsHandover:
    """The results queue."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def hand_over(self, job_id: str) -> None:
        """Send a StoreRequest to the store worker."""
        body = StoreRequest(job_id=job_id).model_dump_json()
        self._client.send_message(QueueUrl=self._url, MessageBody=body)


class SqsDeadLetters:
    """The dead letters of several queues, each with the queue they came from.

    ``queues``: name to (dead letters, source).
    """

    # A short poll asks some of SQS's servers and can be empty though messages are there
    # ("Amazon SQS short and long polling").
    def __init__(
        self, client: "SQSClient", queues: Mapping[str, tuple[str, str]], *, poll: int = 2
    ) -> None:
        self._client = client
        self._queues = queues
        self._poll = poll  # seconds

    def redrive(self, limit: int) -> Mapping[str, int]:
        """Send first, delete afterwards: after a crash in between a message is sent twice."""
        return {
            name: self._redrive(dead, source, limit)
            for name, (dead, source) in self._queues.items()
        }

    def _redrive(self, dead: str, source: str, limit: int) -> int:
        moved = 0
        while moved < limit:
            got = self._client.receive_message(
                QueueUrl=dead,
                MaxNumberOfMessages=min(10, limit - moved),
                VisibilityTimeout=60,
                WaitTimeSeconds=self._poll,
            )
            messages = got.get("Messages", [])
            if not messages:
                break
            for message in messages:
                self._client.send_message(QueueUrl=source, MessageBody=message["Body"])
                self._client.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
        return moved


class SqsLaterMessages:
    """The queue of notifications, and its dead letters."""

    def __init__(self, client: "SQSClient", url: str, dead_letters: str) -> None:
        self._client = client
        self._url = url
        self._dead_letters = dead_letters

    def give_up(self, body: str) -> None:
        """Send it there; raises ClientError and BotoCoreError, after which the message may not be deleted."""
        self._client.send_message(QueueUrl=self._dead_letters, MessageBody=body)

    def delay(self, receipt: str, seconds: int) -> None:
        """Hide the message for so long; where that fails, the queue's own VisibilityTimeout holds."""
        with suppress(BotoCoreError, ClientError):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=seconds
            )


class LambdaStatusCheck:
    """A function that takes a Question, and is not waited for. ``client`` is made when it is needed."""

    def __init__(self, client: Callable[[], "LambdaClient"], function: str) -> None:
        self._client = client
        self._function = function

    def request_status_check(self, job_id: str) -> None:
        """Invoke the function asynchronously: Lambda keeps the request until it has run."""
        self._client().invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=StatusCheckRequest(job_id=job_id).model_dump_json().encode(),
        )
