"""The queues that lead on."""

import json
from typing import TYPE_CHECKING

from shared.domain.jobs import DatasetVersion
from shared.messages import StoreRequest, s3_notice_for

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsInbox:
    """The inbox queue."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def announce(self, dataset: DatasetVersion) -> None:
        """S3's own notice for a dataset, once more."""
        body = json.dumps(s3_notice_for(dataset))
        self._client.send_message(QueueUrl=self._url, MessageBody=body)


class SqsHandover:
    """The results queue."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def hand_over(self, job_id: str) -> None:
        """A StoreRequest for the store worker."""
        body = StoreRequest(job_id=job_id).model_dump_json()
        self._client.send_message(QueueUrl=self._url, MessageBody=body)
