"""A job's files come whole and as they were stored, or not at all."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lora_drop.cli.download import fetch
from lora_drop.cli.main import application
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import Stack
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import answering, job_answer

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
    location = "s3://models/portrait/ada/ada-1/"
    return {"job_id": "ada-1", "status": "SUCCEEDED", "files": files, "location": location}


NOTICES = ("report.html", "report.json", "status.json")


@pytest.fixture
def told(stack: Stack, job: dict[str, Any]) -> dict[str, Any]:
    """The job, of which the stack has told something in the bucket."""
    for name in NOTICES:
        put(stack, name, f"{name} of ada-1")
    return job


def put(stack: Stack, name: str, text: str) -> None:
    stack.client("s3").put_object(Bucket="models", Key=f"portrait/ada/ada-1/{name}", Body=text)


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

    with pytest.raises(CommandError, match="--to"):
        fetch(stack, job, tmp_path)

    assert mine.read_bytes() == b"mine"


def test_a_file_that_is_not_what_was_stored_is_not_left_behind(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    stack.client("s3").put_object(Bucket="models", Key=job["files"][0]["key"], Body=b"spoilt")

    with pytest.raises(CommandError, match="SHA-256"):
        fetch(stack, job, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_gone_is_told(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    stack.client("s3").delete_object(Bucket="models", Key=job["files"][0]["key"])

    with pytest.raises(CommandError, match="could not be fetched"):
        fetch(stack, job, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_job_without_a_lora_has_its_report_fetched(
    stack: Stack, told: dict[str, Any], tmp_path: Path
) -> None:
    put(stack, "ERROR.txt", "ada-1 was rejected")

    paths = fetch(stack, {**told, "status": "REJECTED", "files": []}, tmp_path)

    assert {path.name: path.read_text() for path in paths} == {
        **{name: f"{name} of ada-1" for name in NOTICES},
        "ERROR.txt": "ada-1 was rejected",
    }


def test_the_report_comes_after_the_lora_and_is_brought_up_to_date(
    stack: Stack, told: dict[str, Any], tmp_path: Path
) -> None:
    fetch(stack, told, tmp_path)
    put(stack, "status.json", "ada-1 has gone on")
    put(stack, "job.json", "the story of ada-1")

    paths = fetch(stack, told, tmp_path)

    assert [path.name for path in paths][:2] == ["lora.safetensors", "config.json"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert (tmp_path / "status.json").read_text() == "ada-1 has gone on"
    assert (tmp_path / "job.json").read_text() == "the story of ada-1"


@pytest.mark.parametrize("name", ["report.json", "ERROR.txt"])
def test_another_jobs_report_is_never_written_over_and_nothing_is_fetched(
    stack: Stack, told: dict[str, Any], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("about eve-2")

    with pytest.raises(CommandError, match="--to"):
        fetch(stack, told, tmp_path)

    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(name, "about eve-2")]


def test_a_job_of_which_nothing_is_there_yet_says_where_it_stands(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="RECEIVED"):
        fetch(stack, {**job, "status": "RECEIVED", "files": []}, tmp_path)


@pytest.mark.usefixtures("told")
def test_the_command_says_that_a_job_has_no_lora_and_lists_what_it_fetched(
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = job_answer(job_id="ada-1", status=Status.REJECTED)
    monkeypatch.setattr("lora_drop.client.stack.find_stack", lambda _: stack)
    monkeypatch.setattr(
        "lora_drop.client.lora_drop.LoraDrop", lambda found: answering(found, lambda _: answer)
    )

    result = CliRunner().invoke(application(), ["download", "ada-1", "--to", str(tmp_path)])

    assert result.exit_code == 0
    assert "ada-1 is REJECTED, and has no LoRA" in result.stderr
    assert result.stdout.splitlines() == [str(tmp_path / name) for name in NOTICES]
