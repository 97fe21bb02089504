"""What tests of the client and of the command share: a stack in moto, its API, and datasets on disk."""

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

import lora_drop
from lora_drop.cli.main import application
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.public_job import public
from tests.support.builders import make_job
from tests.support.phone import phone_dataset
from tests.support.photos import encoded, picture

type Run = Callable[..., Result]
type Answer = Callable[[httpx.Request], httpx.Response]
phone_data = cache(phone_dataset)


class Api:
    """The stack's API: what it was asked, and what it answers to each question in turn.

    A question without an answer is an error: then nothing was to be asked. Where a read fails, it fails each time.
    """

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.answers: list[httpx.Response] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert self.answers, f"no test expects {request.url}"
        assert "AWS4-HMAC-SHA256" in request.headers["Authorization"]
        self.requests.append(request)
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path.removeprefix("/live"), body))
        again = request.method == "GET" and self.answers[0].is_server_error
        return self.answers[0] if again else self.answers.pop(0)

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(request.url.params) for request in self.requests]


@cache
def aws_session() -> boto3.Session:
    """One session for all tests: it reads botocore's descriptions of the services once."""
    return boto3.Session(region_name="us-east-1")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack whose buckets are moto's; its API is what a test answers."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    with mock_aws():
        s3 = aws_session().client("s3")
        s3.create_bucket(Bucket="datasets")
        s3.put_bucket_versioning(Bucket="datasets", VersioningConfiguration={"Status": "Enabled"})
        yield Stack("test", aws_session(), None, "https://api.example/live", "datasets", "models")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is asked again without a pause."""
    monkeypatch.setattr("lora_drop.client.backoff.PAUSES", (0.0, 0.0, 0.0, 0.0))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def run(stack: Stack, api: Api, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``lora-drop`` against that stack and that API: the one place that connects a command.

    What is replaced is what every command calls at last, so that it does not matter how it imports it.
    """
    start = StackClient.__init__

    def connected(
        client: StackClient, stack: Stack | None = None, *, http: httpx.Client | None = None
    ) -> None:
        start(client, stack, http=http or httpx.Client(transport=httpx.MockTransport(api)))

    monkeypatch.setenv("LORA_DROP_STACK", stack.name)
    monkeypatch.setattr("lora_drop.client.stack._deployed", lambda *_, **__: stack)
    monkeypatch.setattr(StackClient, "__init__", connected)
    return invoke


def invoke(*words: object, answer: str = "") -> Result:
    """Run the command with these words; ``answer`` is what a person types."""
    return CliRunner().invoke(application(), [str(word) for word in words], input=answer)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``lora-drop check``; there is no stack to be found, nor a network."""

    def nowhere(*_: object, **__: object) -> None:
        raise AssertionError("a check connects to nothing")

    monkeypatch.setattr("socket.socket.connect", nowhere)
    monkeypatch.setattr("lora_drop.client.stack.find_stack", nowhere)
    monkeypatch.setattr("lora_drop.client.stack._deployed", nowhere)
    return lambda *words: invoke("check", *words)


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    file = tmp_path / "phone.zip"
    file.write_bytes(phone_data())
    return file


@cache
def photo(size: int, seed: int) -> bytes:
    return encoded(picture(size, size, seed=seed), "JPEG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    album = tmp_path / "album"
    album.mkdir()
    for number in range(12):
        (album / f"{number}.jpg").write_bytes(photo(600, number))
    return album


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts and SIGHUP ends, although a shell that runs pytest in the background ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGHUP, hangup)


def answering(stack: Stack, answer: Answer) -> StackClient:
    return StackClient(stack, http=httpx.Client(transport=httpx.MockTransport(answer)))


def job_answer(**changes: Any) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(public(make_job(**changes))))


def error_answer(status: int, code: str, message: str, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message, **more}})


def connected(stack: Stack, answer: Any) -> lora_drop.LoraDrop:
    drop = lora_drop.LoraDrop()
    drop._opened = answering(stack, answer)
    return drop


@pytest.fixture
def drop(stack: Stack, api: Api) -> Iterator[lora_drop.LoraDrop]:
    with connected(stack, api) as drop:
        yield drop


def uploaded(stack: Stack) -> list[dict[str, Any]]:
    s3 = stack.client("s3")
    found = s3.list_object_versions(Bucket="datasets").get("Versions", [])
    return [{**each, **s3.head_object(Bucket="datasets", Key=each["Key"])} for each in found]


def stored(name: str, data: bytes) -> StoredFile:
    digest = hashlib.sha256(data).hexdigest()
    return StoredFile(name=name, bucket="models", key=f"ada/{name}", size=len(data), sha256=digest)
