import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from lora_drop.cli.main import application
from lora_drop.client.lora_drop import LoraDrop
from lora_drop.client.stack import Stack
from lora_drop.jobs.public_job import public
from tests.support.builders import make_job
from tests.support.phone import phone_dataset
from tests.support.photos import encoded, picture

type RunCheck = Callable[..., Result]
type Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack whose buckets are moto's; its API is whatever a test answers."""
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        s3 = session.client("s3")
        s3.create_bucket(Bucket="datasets")
        s3.put_bucket_versioning(Bucket="datasets", VersioningConfiguration={"Status": "Enabled"})
        yield Stack("test", session, None, "https://api.example/live", "datasets", "models")


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> RunCheck:
    """Runs ``lora-drop check``; there is no stack to be found, nor a network."""

    def nowhere(*_: object, **__: object) -> None:
        raise AssertionError("nobody is to be asked")

    monkeypatch.setattr("socket.socket.connect", nowhere)
    monkeypatch.setattr("lora_drop.client.stack.find_stack", nowhere)
    return lambda *words: CliRunner().invoke(application(), ["check", *map(str, words)])


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    file = tmp_path / "phone.zip"
    file.write_bytes(phone_dataset())
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    album = tmp_path / "album"
    album.mkdir()
    for number in range(12):
        photo = encoded(picture(600, 600, seed=number), "JPEG")
        (album / f"{number}.jpg").write_bytes(photo)
    return album


def answering(stack: Stack, answer: Answer) -> LoraDrop:
    return LoraDrop(stack, http=httpx.Client(transport=httpx.MockTransport(answer)))


def job_answer(**changes: Any) -> httpx.Response:
    return httpx.Response(200, content=json.dumps(public(make_job(**changes))))
