"""What a person and a program see of many jobs, and where a retried job's report is."""

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from lora_drop.cli import main
from lora_drop.cli.display import Display
from lora_drop.client.parameters import drop_advice
from lora_drop.datasets.parameters import resolve
from lora_drop.jobs.ids import job_id_for, result_prefix
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import APPLICATION, make_job
from tests.support.client_fixtures import Api, Run, error_answer

LONG = "a-very-long-name-of-a-dataset-of-photos-0123456789"


def row(job_id: str = LONG, **changes: Any) -> dict[str, Any]:
    return public(make_job(**changes)) | {"job_id": job_id}


def page(*jobs: dict[str, Any], more: str | None = None) -> httpx.Response:
    return httpx.Response(200, json={"jobs": jobs, "next": more})


@pytest.mark.parametrize(("width", "created"), [(200, True), (100, True), (80, False), (50, False)])
def test_ids_are_whole_at_every_width(width: int, created: bool) -> None:  # noqa: FBT001
    written = io.StringIO()
    Display(Console(file=written, width=width)).jobs(
        [row(status=Status.SUBMIT_UNKNOWN), row("ada-0123456789")]
    )
    lines = written.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(f"{LONG}  SUBMIT_UNKNOWN")
    assert lines[2].startswith("ada-0123456789 ")
    assert ("created" in lines[0]) is created


@pytest.mark.parametrize("command", ["up", "demo"])
def test_pictures_have_help(run: Run, command: str) -> None:
    shown = " ".join(run(command, "--help").stdout.split())
    assert "--pictures DIR" in shown
    assert "Folder of photos that the simulator answers with" in shown


def test_help_groups_its_commands(run: Run) -> None:
    lines = run("--help").stdout.splitlines()
    heads = [line for line in lines if line in ("Train:", "Decide about a job:", "Run a stack:")]
    assert heads == ["Train:", "Decide about a job:", "Run a stack:"]
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(main.COMMANDS)


def test_lists_are_json_lines(run: Run, api: Api) -> None:
    api.answers = [page(row("ada-1"), row("bob-2"), more="c1")]
    result = run("jobs", "--json")
    assert [json.loads(line)["job_id"] for line in result.stdout.splitlines()] == ["ada-1", "bob-2"]
    assert "--cursor c1" in result.stderr


def test_failure_is_json_too(run: Run, api: Api) -> None:
    api.answers = [error_answer(404, "job_unknown", "There is no such job.")]
    result = run("job", "ada-1", "--json")
    said = "There is no such job. All of them: lora-drop jobs"
    assert json.loads(result.stdout) == {"error": {"message": said}}
    assert (result.exit_code, result.stderr) == (1, f"{said}\n")


def test_no_fitting_job_is_told_from_no_job(run: Run, api: Api) -> None:
    api.answers = [httpx.Response(200, json={"jobs": [], "next": None})] * 2
    assert "train PATH" in run("jobs").stdout
    assert run("jobs", "--dataset", "x").stdout == "No job fits. All of them: lora-drop jobs\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--reference", "order 1"), ["ada-1", "cat-3"]),
        (("--reference", "order 9"), []),
        (("--dataset", "bob"), ["bob-2"]),
        (("--dataset", "portrait/bob.zip", "--reference", "x"), ["bob-2"]),
    ],
)
def test_jobs_of_a_reference(
    run: Run, api: Api, words: tuple[str, ...], expected: list[str]
) -> None:
    """All pages are read, so that no job with this reference is missing."""
    bob = {**row()["dataset"], "key": "portrait/bob.zip"}
    first = page(
        row("ada-1", reference="order 1"), row("bob-2", reference="x", dataset=bob), more="c"
    )
    api.answers = [first, page(row("cat-3", reference="order 1"))]
    result = run("jobs", *words, "--json")
    assert [json.loads(line)["job_id"] for line in result.stdout.splitlines()] == expected
    assert [query.get("cursor") for query in api.queries] == [None, "c"]


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(("status", "own"), [(Status.FAILED, False), (Status.SUCCEEDED, True)])
def test_report_that_is_named_is_there(run: Run, api: Api, status: Status, own: bool) -> None:  # noqa: FBT001
    """The report that `lora-drop job` names of a retried job is one that was written."""
    job = public(make_job(status=status, retry_of="ada-1"))
    job |= {"parameters": {"trainer": job["application"], "steps": 1000}, "retry_of": "ada-1"}
    place = job["dataset"]
    first = job_id_for(place["bucket"], place["key"], place["version_id"])
    job["job_id"] = holder = job_id_for(place["bucket"], place["key"], place["version_id"], 2)
    holder = holder if own else first
    api.answers = [httpx.Response(200, json=job)]
    shown = run("job", job["job_id"]).stdout
    assert f"s3://models/{result_prefix(place['key'], holder)}report.html" in shown
    assert f"lora-drop download {holder} fetches it" in shown


@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED])
def test_failed_job_names_its_retry(run: Run, api: Api, status: Status) -> None:
    job = public(make_job(status=status))
    api.answers = [httpx.Response(200, json=job)]
    assert f"lora-drop retry {job['job_id']}" in run("job", job["job_id"]).stdout


@pytest.mark.parametrize("status", [401, 403])
def test_refused_caller_gets_commands(run: Run, api: Api, status: int) -> None:
    api.answers = [httpx.Response(status, json={"message": "Forbidden"})]
    refused = run("job", "ada-1").stderr
    assert "aws sts get-caller-identity" in refused
    assert "NO_PROXY=.amazonaws.com" in refused


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (401, "<html><title> Log\nin </title>", "answered 401 in the API's place (“Log in”)"),
        (502, "Bad gateway", "answered 502 in the API's place: a proxy"),
        (200, "[]", "answered 200 in the API's place"),
        (407, "<html>", "HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"),
    ],
)
def test_answer_of_a_proxy_gets_commands(
    run: Run, api: Api, status: int, text: str, said: str
) -> None:
    api.answers = [httpx.Response(status, text=text)]
    refused = run("job", "ada-1").stderr
    assert said in refused
    assert "export NO_PROXY=api.example" in refused


def test_download_goes_into_the_jobs_folder(
    run: Run, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[object] = []

    def keep(*words: object) -> tuple[Path, ...]:
        asked.append(words[2])
        return ()

    monkeypatch.setattr("lora_drop.client.download.fetch", keep)
    api.answers = [httpx.Response(200, json=row("ada-1"))]
    run("download", "ada-1")
    assert asked == [Path("ada-1")]


@pytest.mark.parametrize(
    ("key", "preset"),
    [
        ("portait/ada.zip", "portrait"),
        ("Portraits/ada.zip", "portrait"),
        ("styl/ada.zip", "style"),
        ("portrait/ada.zip", None),
        ("customers/ada.zip", None),
    ],
)
def test_near_miss_of_a_preset_is_said(key: str, preset: str | None) -> None:
    """Before the upload, since fal's own defaults cost more than the preset that was meant."""
    resolved = resolve(
        key=key, training_json=None, metadata={}, trigger_seed="0" * 10, application=APPLICATION
    )
    said = [
        each.message
        for each in drop_advice(resolved, key)
        if each.code == "parameter_preset_unlike"
    ]
    assert [f"preset={preset}" in each for each in said] == ([True] if preset else [])
