"""How a LoRA is used, and where its report is: what is printed runs, and opens nothing that was not asked for."""

import json
import sys
import webbrowser
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import parse_qs, urlsplit

import pytest

from lora_drop.cli.usage import SCREENS
from lora_drop.client.stack import Stack
from lora_drop.datasets.report import Report, Verdict
from lora_drop.datasets.reports import result_page
from lora_drop.datasets.trigger_phrase import UNTRAINED
from lora_drop.fal.inference import INFERENCES, diffusers_program, fal_program
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import make_job
from tests.support.client_fixtures import Api, Run, job_answer

PHRASES = ["ada", "", 'a"b\\c', "it's\nada", "\N{SLIGHTLY SMILING FACE} ß \u202e"]
URL = "https://s3/a?b='\""
LORA = StoredFile(
    name="lora.safetensors", bucket="models", key="a/lora.safetensors", size=7, sha256="00"
)


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    found = MagicMock()
    for name in ("fal_client", "diffusers", "torch"):
        monkeypatch.setitem(sys.modules, name, getattr(found, name))
    return found


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("trainer", INFERENCES)
def test_programs_run(trainer: str, phrase: str, libraries: MagicMock) -> None:
    """The programs that use a LoRA run as they are printed, whatever the trigger phrase holds."""
    inference, prompt = INFERENCES[trainer], f"a photo of {phrase or 'a person'}"
    fal, pipeline = libraries.fal_client, libraries.diffusers.FluxPipeline.from_pretrained
    for program in (
        fal_program(inference, phrase, url=URL),
        fal_program(inference, phrase, file="a b/x.safetensors"),
        diffusers_program(inference, phrase, file="a b/x.safetensors"),
    ):
        exec(compile(program, "program", "exec"), {})  # noqa: S102  # our own words
    paths = [URL, fal.upload_file.return_value]
    fal.upload_file.assert_called_once_with("a b/x.safetensors")
    for call, path in zip(fal.subscribe.call_args_list, paths, strict=True):
        asked = {"prompt": prompt, "loras": [{"path": path, "scale": 1.0}]}
        assert (call.args, call.kwargs) == ((inference.application,), {"arguments": asked})
    assert pipeline.call_args.args == (inference.base_model,)
    pipe = pipeline.return_value
    pipe.load_lora_weights.assert_called_once_with(
        "a b", weight_name="x.safetensors", adapter_name="lora"
    )
    assert pipe.call_args.args == (prompt,)
    assert trainer in TRAINERS


def succeeded(**changes: Any) -> Any:
    parameters = TrainingParameters(steps=1000, trigger_phrase="ada")
    return job_answer(status=Status.SUCCEEDED, files=(LORA,), parameters=parameters, **changes)


def test_usage_has_phrase_and_address(run: Run, api: Api) -> None:
    api.answers = [succeeded() for _ in range(4)]
    found = json.loads(run("usage", "x", "--json", "--hours", "3").stdout)
    address = urlsplit(found["url"])
    assert address.path.endswith("/a/lora.safetensors")
    assert parse_qs(address.query)["X-Amz-Expires"] == ["10800"]
    assert found["url"] in found["fal"]
    assert run("usage", "x", "--only", "diffusers").stdout == found["diffusers"]
    shown = run("usage", "x").stdout
    assert "trigger phrase, for each prompt: ada" in shown
    assert found["diffusers"].strip() in shown
    mine = run("usage", "x", "--file", "mine/l.safetensors", "--json").stdout
    assert (
        json.loads(mine)["url"],
        "upload_file('mine/l.safetensors')" in json.loads(mine)["fal"],
    ) == (None, True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: job_answer(status=Status.FAILED), "has no LoRA"),
        (lambda: succeeded(application="ideogram/v4/trainer"), "fal.ai/models/ideogram/v4/trainer"),
    ],
)
def test_usage_says_why_there_is_none(run: Run, api: Api, answer: Any, said: str) -> None:
    api.answers = [answer()]
    result = run("usage", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_page_has_the_same_programs() -> None:
    parameters = TrainingParameters(steps=1000, trigger_phrase="a<b>")
    page = result_page(
        make_job(status=Status.SUCCEEDED, files=(LORA,), parameters=parameters), None
    )
    assert "a photo of a&lt;b&gt;" in page
    assert page.count("<pre><code>") == 2
    assert "fal_client.upload_file(" in page


@pytest.mark.parametrize("screen", [True, False])
def test_report_is_opened_or_named(
    run: Run,
    api: Api,
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    screen: bool,
) -> None:
    job = make_job(status=Status.REJECTED)
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key=f"{job.prefix}report.html", Body="<p>here")
    opened: list[str] = []

    def open_in_browser(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_in_browser)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(SCREENS[0], ":0")
    api.answers = [job_answer(status=Status.REJECTED)]
    result = run("open", job.job_id)
    page = tmp_path / "lora-drop" / "reports" / job.job_id / "report.html"
    assert page.read_text() == "<p>here"
    assert (opened, result.stdout) == (([page.as_uri()], "") if screen else ([], f"{page}\n"))


def test_missing_report_is_explained(run: Run, api: Api, stack: Stack) -> None:
    stack.client("s3").create_bucket(Bucket="models")
    api.answers = [job_answer()]
    result = run("open", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has no report" in result.stderr


@pytest.mark.parametrize("content", [None, b"no report", b"{}", b""])
def test_job_shows_the_warnings_of_its_check(
    run: Run, api: Api, stack: Stack, content: bytes | None
) -> None:
    warned = tuple(
        Problem(code="image_very_dark", message=f"{name} is very dark. Brighten it.", member=name)
        for name in ("a.jpg", "b.jpg")
    )
    report = Report(file="ada.zip", verdict=Verdict.ACCEPTED, warnings=warned)
    body = report.model_dump_json().encode() if content is None else content
    s3, job = stack.client("s3"), make_job(status=Status.SUCCEEDED)
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key=f"{job.prefix}report.json", Body=body)
    api.answers = [succeeded()]
    shown = run("job", job.job_id)
    assert shown.exit_code == 0
    said = "2 warnings of its check:\n    2 files: each is very dark. Brighten it. (a.jpg, b.jpg)"
    assert (said in shown.stdout) is (content is None)


def test_usage_says_that_the_phrase_is_untrained(run: Run, api: Api, stack: Stack) -> None:
    """A trigger phrase that no caption had is not given for prompts."""
    warned = Problem(code=UNTRAINED, message="None of the 12 captions has it.")
    report = Report(file="ada.zip", verdict=Verdict.ACCEPTED, warnings=(warned,))
    s3, job = stack.client("s3"), make_job(status=Status.SUCCEEDED)
    s3.create_bucket(Bucket="models")
    body = report.model_dump_json().encode()
    s3.put_object(Bucket="models", Key=f"{job.prefix}report.json", Body=body)
    api.answers = [succeeded()]
    shown = run("usage", job.job_id).stdout
    assert "No caption had the trigger phrase ada, so it was not trained." in shown
    assert "for each prompt" not in shown
