"""The stack's own resources on an emulated AWS, made as the template makes them."""

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from moto import mock_aws

from tests.support.template import properties

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

REGION = "us-east-1"
# What CreateTable knows of the template's table; encryption and backups have calls of their own.
TABLE = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@dataclass
class Aws:
    """One AWS; ``endpoint_url`` None is moto's, inside this process.

    ``numbers`` tells the names of what is made in it from each other.
    """

    endpoint_url: str | None = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @cached_property
    def s3(self) -> "S3Client":
        return cast("S3Client", self._client("s3", Config(signature_version="s3v4")))

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        return cast("DynamoDBClient", self._client("dynamodb"))

    @cached_property
    def sqs(self) -> "SQSClient":
        return cast("SQSClient", self._client("sqs"))

    @cached_property
    def secrets(self) -> "SecretsManagerClient":
        return cast("SecretsManagerClient", self._client("secretsmanager"))

    def table(self, name: str = "jobs") -> str:
        """A jobs table of its own, by the template's definition."""
        name = self._own(name)
        definition: Any = {key: properties("JobsTable")[key] for key in TABLE}
        self.dynamodb.create_table(TableName=name, **definition)
        return name

    def bucket(self, name: str) -> str:
        """A bucket of its own, versioned as the datasets bucket is."""
        name = self._own(name)
        self.s3.create_bucket(Bucket=name)
        self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def queue(self, name: str) -> str:
        """The address of a queue of its own."""
        return self.sqs.create_queue(QueueName=self._own(name))["QueueUrl"]

    def secret(self, name: str, value: str | None) -> str:
        """A secret of its own; None leaves it without a value, as a new stack's fal key is."""
        name = self._own(name)
        given: Mapping[str, Any] = {} if value is None else {"SecretString": value}
        self.secrets.create_secret(Name=name, **given)
        return name

    def function(self, name: str) -> None:
        """A function of this name, that does nothing when it is called."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("handler.py", "")
        role = boto3.client("iam", endpoint_url=self.endpoint_url).create_role(
            RoleName=name, AssumeRolePolicyDocument="{}"
        )
        boto3.client("lambda", REGION, endpoint_url=self.endpoint_url).create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="handler.handler",
            Code={"ZipFile": code.getvalue()},
        )

    def empty(self, secret: str) -> None:
        """Make the secret again, without a value."""
        self.secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
        self.secrets.create_secret(Name=secret)

    def messages(self, queue_url: str) -> list[str]:
        """The bodies of what waits in a queue, taken out."""
        bodies: list[str] = []
        while got := self.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in got:
                bodies.append(message["Body"])
                self.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def _client(self, service: str, config: Config | None = None) -> Any:
        return kept_client(service, REGION, endpoint_url=self.endpoint_url, config=config)

    def _own(self, name: str) -> str:
        return f"{name}-{next(self.numbers)}"


_make_client = boto3.client
_clients: dict[object, Any] = {}


def kept_client(
    service: str, region: str | None = None, *, endpoint_url: str | None = None, config: Any = None
) -> Any:
    """``boto3.client`` with one client of a kind for all tests: making one takes longer than a call.

    A session's token in the environment counts, though the one session has been read before.
    """
    options = repr(vars(config).get("_user_provided_options")) if config else ""
    token = os.environ.get("AWS_SESSION_TOKEN")
    key = (service, region, endpoint_url, options, token)
    if key not in _clients:
        given = {"endpoint_url": endpoint_url, "config": config}
        if token:
            given |= {
                "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
                "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
                "aws_session_token": token,
            }
        _clients[key] = _make_client(service, region, **given)  # type: ignore[call-overload]  # any service
    return _clients[key]


@cache
def _session() -> boto3.Session:
    """One session for all tests: it reads the services' descriptions once."""
    return boto3.Session()


@contextmanager
def moto() -> Iterator[Aws]:
    """AWS in this process, empty again afterwards."""
    with mock_aws(config={"lambda": {"use_docker": False}}):
        boto3.DEFAULT_SESSION = _session()  # moto puts the former one back
        yield Aws()
