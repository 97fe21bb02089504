"""A large upload that breaks off goes on with the parts that are there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lora_drop.client.errors import CommandError
from lora_drop.client.stack import Stack
from lora_drop.client.upload import MultipartUpload

KIB = 1024


class BreaksError(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_drop.client.upload.PART", 5 * KIB)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", KIB)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ada.zip"
    path.write_bytes(os.urandom(16 * KIB))
    return path


class Sender:
    """Uploads one file, and counts what reaches S3."""

    def __init__(self, stack: Stack, file: Path) -> None:
        self.s3 = stack.client("s3")
        self.states = file.parent / "states"
        self.file = file
        self.sent: list[int] = []
        self.seen: list[int] = []
        self.s3.meta.events.register("before-parameter-build.s3.UploadPart", self._count)

    def _count(self, params: dict[str, Any], **_: Any) -> None:
        self.sent.append(params["PartNumber"])

    def send(self, breaks: int = 0, **metadata: str) -> str:
        """Send it, until so many bytes are there."""
        given = metadata or {"steps": "1000"}

        def progress(sent: int, _: int) -> None:
            self.seen.append(sent)
            if breaks and sent >= breaks:
                raise BreaksError

        upload = MultipartUpload(
            self.s3, self.s3, "datasets", "ada.zip", given, self.file, self.states
        )
        return str(upload.send(progress)["VersionId"])

    def stored(self) -> bytes:
        return bytes(self.s3.get_object(Bucket="datasets", Key="ada.zip")["Body"].read())

    def versions(self) -> int:
        return len(self.s3.list_object_versions(Bucket="datasets").get("Versions", ()))


@pytest.fixture
def sender(stack: Stack, file: Path) -> Sender:
    return Sender(stack, file)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("after", [1, 2, 4])
def test_no_part_is_sent_twice(sender: Sender, after: int) -> None:
    """An upload that is killed goes on with the parts that are there: none is sent twice, and the bytes are the same."""
    with pytest.raises(BreaksError):
        sender.send(breaks=min(after * 5, 16) * KIB)
    sender.send()
    assert sender.sent == [1, 2, 3, 4]
    assert sender.stored() == sender.file.read_bytes()
    assert sender.seen[-1] == sender.file.stat().st_size
    assert [*sender.states.iterdir()] == []


CHANGES: dict[str, Callable[[Sender], str]] = {
    "another file": lambda sender: (
        sender.file.write_bytes(os.urandom(16 * KIB)),
        sender.send(),
    )[1],
    "other metadata": lambda sender: sender.send(steps="2000"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_upload_begins_from_the_start(sender: Sender, case: str) -> None:
    with pytest.raises(BreaksError):
        sender.send(breaks=1)
    CHANGES[case](sender)
    assert sender.sent == [1, 1, 2, 3, 4]
    assert sender.stored() == sender.file.read_bytes()


def test_ended_upload_begins_again(sender: Sender) -> None:
    """The bucket's rule ends an unfinished upload after a day."""
    with pytest.raises(BreaksError):
        sender.send(breaks=1)
    [upload] = sender.s3.list_multipart_uploads(Bucket="datasets")["Uploads"]
    sender.s3.abort_multipart_upload(Bucket="datasets", Key="ada.zip", UploadId=upload["UploadId"])
    sender.send()
    assert sender.sent == [1, 1, 2, 3, 4]


@pytest.mark.promise("never pay twice")
def test_lost_completion_is_one_version(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload whose last answer is lost is one version of the dataset, however often it is sent again."""
    complete = sender.s3.complete_multipart_upload

    def lost(**given: Any) -> None:
        complete(**given)
        raise BreaksError

    with monkeypatch.context() as patch:
        patch.setattr(sender.s3, "complete_multipart_upload", lost)
        with pytest.raises(BreaksError):
            sender.send()
    assert sender.send()
    assert (sender.sent, sender.versions()) == ([1, 2, 3, 4], 1)


def test_spoilt_upload_is_ended(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InvalidPart"}}, "CompleteMultipartUpload")

    monkeypatch.setattr(sender.s3, "complete_multipart_upload", refuse)
    with pytest.raises(ClientError):
        sender.send()
    assert "Uploads" not in sender.s3.list_multipart_uploads(Bucket="datasets")
    assert [*sender.states.iterdir()] == []


@pytest.mark.promise("never pay twice")
def test_upload_completed_by_another_is_the_same_version(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several that go on with one upload at once, each gets the one version that the first has completed."""
    with pytest.raises(BreaksError):
        sender.send(breaks=1)
    kept = {each: each.read_bytes() for each in sender.states.iterdir()}
    send_part, versions = sender.s3.upload_part, list[str]()

    def overtaken(**_: Any) -> None:
        monkeypatch.setattr(sender.s3, "upload_part", send_part)
        versions.append(sender.send())
        raise ClientError({"Error": {"Code": "NoSuchUpload"}}, "UploadPart")  # moto has a KeyError

    monkeypatch.setattr(sender.s3, "upload_part", overtaken)
    versions.append(sender.send())
    for path, data in kept.items():
        path.write_bytes(data)
    versions.append(sender.send())
    assert (len(set(versions)), sender.versions()) == (1, 1)


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("size", [16, 11, 21])
def test_file_that_changes_meanwhile_is_refused(sender: Sender, size: int) -> None:
    """A file that is written while it is sent becomes no dataset, and nothing of it stays."""

    def written(*_: int) -> None:
        sender.file.write_bytes(bytes(size * KIB))

    upload = MultipartUpload(
        sender.s3, sender.s3, "datasets", "ada.zip", {}, sender.file, sender.states
    )
    with pytest.raises(CommandError, match="changed while it was sent"):
        upload.send(written)
    assert sender.versions() == 0
    assert "Uploads" not in sender.s3.list_multipart_uploads(Bucket="datasets")
    assert [*sender.states.iterdir()] == []
