"""Files that a command writes: a job's results come whole or not at all, and a report costs no file."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lora_drop.client.download import fetch
from lora_drop.client.errors import CommandError
from lora_drop.client.report_files import report_files
from lora_drop.client.stack import Stack
from lora_drop.datasets.report import Report, Verdict
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.status import Status
from tests.support.builders import NOW
from tests.support.client_fixtures import Api, Run, job_answer

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
        stored = {"name": name, "bucket": "models", "key": key, "size": len(data)}
        files.append({**stored, "sha256": digest})
    location = "s3://models/portrait/ada/ada-1/"
    return {"job_id": "ada-1", "status": "SUCCEEDED", "files": files, "location": location}


NOTICES = ("report.html", "report.json", "status.json")


@pytest.fixture
def with_report(stack: Stack, job: dict[str, Any]) -> dict[str, Any]:
    """The job, with the files for people that the stack has written."""
    for name in NOTICES:
        put(stack, name, f"{name} of ada-1")
    return job


def put(stack: Stack, name: str, text: str) -> None:
    stack.client("s3").put_object(Bucket="models", Key=f"portrait/ada/ada-1/{name}", Body=text)


def test_files_lie_in_the_folder(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    paths = fetch(stack, job, folder)
    assert [path.name for path in paths] == ["lora.safetensors", "config.json"]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert paths[0].read_bytes() == LORA


def test_second_download_changes_nothing(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    first = fetch(stack, job, tmp_path)
    before = [path.stat().st_mtime_ns for path in first]
    again = fetch(stack, job, tmp_path)
    assert [path.stat().st_mtime_ns for path in again] == before


@pytest.mark.promise("never lose a result")
def test_foreign_file_is_not_overwritten(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    """A file that is not the job's is never written over by a download."""
    mine = tmp_path / "lora.safetensors"
    mine.write_bytes(b"mine")
    with pytest.raises(CommandError, match="--to"):
        fetch(stack, job, tmp_path)
    assert mine.read_bytes() == b"mine"


@pytest.mark.promise("never lose a result")
def test_damaged_file_is_not_kept(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    """A file that is not what was stored is reported and not left behind."""
    stack.client("s3").put_object(Bucket="models", Key=job["files"][0]["key"], Body=b"spoilt")
    with pytest.raises(CommandError, match="SHA-256"):
        fetch(stack, job, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_reported(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    stack.client("s3").delete_object(Bucket="models", Key=job["files"][0]["key"])
    with pytest.raises(CommandError, match="could not be fetched"):
        fetch(stack, job, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_report_of_a_rejected_job(
    stack: Stack, with_report: dict[str, Any], tmp_path: Path
) -> None:
    put(stack, "ERROR.txt", "ada-1 was rejected")
    paths = fetch(stack, {**with_report, "status": "REJECTED", "files": []}, tmp_path)
    assert {path.name: path.read_text() for path in paths} == {
        **{name: f"{name} of ada-1" for name in NOTICES},
        "ERROR.txt": "ada-1 was rejected",
    }


def test_report_comes_after_the_lora(
    stack: Stack, with_report: dict[str, Any], tmp_path: Path
) -> None:
    """The report comes after the LoRA, and a later download brings it up to date."""
    fetch(stack, with_report, tmp_path)
    put(stack, "status.json", "ada-1 has gone on")
    put(stack, "job.json", "the story of ada-1")
    paths = fetch(stack, with_report, tmp_path)

    assert [path.name for path in paths][:2] == ["lora.safetensors", "config.json"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert (tmp_path / "status.json").read_text() == "ada-1 has gone on"
    assert (tmp_path / "job.json").read_text() == "the story of ada-1"


@pytest.mark.parametrize("name", ["report.json", "ERROR.txt"])
def test_report_of_another_job(
    stack: Stack, with_report: dict[str, Any], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("about eve-2")
    with pytest.raises(CommandError, match="--to"):
        fetch(stack, with_report, tmp_path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(name, "about eve-2")]


def test_job_without_files_names_its_state(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="RECEIVED"):
        fetch(stack, {**job, "status": "RECEIVED", "files": []}, tmp_path)


@pytest.mark.usefixtures("with_report")
def test_command_lists_what_it_fetched(run: Run, api: Api, tmp_path: Path) -> None:
    api.answers = [job_answer(job_id="ada-1", status=Status.REJECTED)]
    result = run("download", "ada-1", "--to", tmp_path)
    assert result.exit_code == 0
    assert "ada-1 is REJECTED, and has no LoRA" in result.stderr
    assert result.stdout.splitlines() == [str(tmp_path / name) for name in NOTICES]


@pytest.mark.usefixtures("with_report")
@pytest.mark.parametrize("done", [False, True])
def test_open_sheet_is_fetched_later(run: Run, api: Api, tmp_path: Path, *, done: bool) -> None:
    """A download before the proof sheet is done says so, and what fetches it later."""
    sheet = ProofSheet(note="No face." if done else "", done_at=NOW if done else None)
    api.answers = [job_answer(job_id="ada-1", status=Status.SUCCEEDED, proof=sheet)]
    result = run("download", "ada-1", "--to", tmp_path)
    again = f"this fetches it: lora-drop download ada-1 --to {tmp_path}"
    assert result.exit_code == 0
    assert (again in result.stderr) is not done


REPORT = Report(file="ada.zip", verdict=Verdict.ACCEPTED, images=12)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("ada.html", ("ada.html", "ada.json")),
        ("ada.htm", ("ada.htm", "ada.json")),
        ("ada.json", ("ada.html", "ada.json")),
        ("ada", ("ada.html", "ada.json")),
        ("ada.v2", ("ada.v2.html", "ada.v2.json")),
        ("rep/", ("rep/report.html", "rep/report.json")),
        ("there", ("there/report.html", "there/report.json")),
        ("new/folder/ada.html", ("new/folder/ada.html", "new/folder/ada.json")),
    ],
)
def test_report_lies_where_it_is_wanted(tmp_path: Path, where: str, names: tuple[str, str]) -> None:
    (tmp_path / "there").mkdir()
    files = report_files(f"{tmp_path}/{where}")
    files.write(REPORT)
    assert (files.page, files.data) == (tmp_path / names[0], tmp_path / names[1])
    assert files.page.read_text().startswith("<!doctype html>")
    assert json.loads(files.data.read_text())["file"] == "ada.zip"


def test_earlier_report_is_overwritten(tmp_path: Path) -> None:
    report_files(f"{tmp_path}/").write(REPORT)
    report_files(f"{tmp_path}/").write(REPORT.model_copy(update={"file": "eve.zip"}))
    assert "eve.zip" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["file"] == "eve.zip"


def test_report_of_an_older_version(tmp_path: Path) -> None:
    report_files(f"{tmp_path}/").write(REPORT)
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    before, _, behind = page.read_text().partition("style-src")
    page.write_text(before + "style-src 'sha256-another'" + behind)
    old = json.loads(data.read_text())
    data.write_text(json.dumps({**old, "schema_version": 0, "another": 1}))
    report_files(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("training.json", b'{"steps": 1500}'),
        ("training.json", b""),
        ("training.json", b"[" * 100_000),
        ("training.json", b"\xff"),
        ("training.html", b"<!doctype html>\n<html lang=en>my album"),
        ("training.html", b""),
    ],
)
def test_other_files_are_not_overwritten(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=rf"{name} is there already.*--report"):
        report_files(f"{tmp_path}/training")
    assert (tmp_path / name).read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "ada.json").mkdir()
    with pytest.raises(CommandError, match=r"ada\.json is there already"):
        report_files(f"{tmp_path}/ada.html")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CommandError, match="Nothing was checked"):
        report_files(f"{tmp_path}/file/report.html")


def test_report_that_cannot_be_written(tmp_path: Path) -> None:
    files = report_files(f"{tmp_path}/rep/")
    os.rmdir(tmp_path / "rep")  # noqa: PTH106
    with pytest.raises(CommandError, match="cannot be written"):
        files.write(REPORT)
