"""A job's files come whole and as they were stored, or not at all."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from client.download import fetch
from client.errors import CommandFailed
from client.stack import Stack

LORA = bytes(range(256)) * 5000


@pytest.fixture
def job(stack: Stack) -> dict[str, Any]:
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="models")
    files = []
    for name, data in (("lora.safetensors", LORA), ("config.json", b"{}")):
        key = f"portrait/ada/ada-1/{name}"
        s3.put_object(Bucket="models", Key=key, Body=data)
        digest = hashlib.sha256(data).hexdigest()
        files.append({"name": name, "bucket": "models", "key": key, "sha256": digest})
    return {"job_id": "ada-1", "status": "SUCCEEDED", "files": files}


def test_the_files_lie_in_the_folder_under_their_names(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "folder"

    paths = fetch(stack, job, folder)

    assert [path.name for path in paths] == ["lora.safetensors", "config.json"]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert paths[0].read_bytes() == LORA


def test_once_more_changes_nothing(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    first = fetch(stack, job, tmp_path)
    before = [path.stat().st_mtime_ns for path in first]

    again = fetch(stack, job, tmp_path)

    assert [path.stat().st_mtime_ns for path in again] == before


def test_a_file_of_somebody_elses_is_never_written_over(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    mine = tmp_path / "lora.safetensors"
    mine.write_bytes(b"mine")

    with pytest.raises(CommandFailed, match="--to"):
        fetch(stack, job, tmp_path)

    assert mine.read_bytes() == b"mine"


def test_a_file_that_is_not_what_was_stored_is_not_left_behind(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    stack.client("s3").put_object(Bucket="models", Key=job["files"][0]["key"], Body=b"spoilt")

    with pytest.raises(CommandFailed, match="SHA-256"):
        fetch(stack, job, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_is_told(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    stack.client("s3").delete_object(Bucket="models", Key=job["files"][0]["key"])

    with pytest.raises(CommandFailed, match="could not be fetched"):
        fetch(stack, job, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_job_without_files_says_where_it_stands(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CommandFailed, match="TRAINING"):
        fetch(stack, {**job, "status": "TRAINING", "files": []}, tmp_path)
