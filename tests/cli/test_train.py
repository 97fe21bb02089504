"""`lora-drop train` uploads what the stack will accept, and says what a person has to know of it."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from lora_drop.cli.main import application
from lora_drop.client.check import check_dataset
from lora_drop.client.stack import Stack
from lora_drop.datasets.report import Verdict
from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import answering, job_answer

type Run = Callable[..., Result]


@pytest.fixture
def api() -> list[httpx.Response]:
    """What the stack's API answers, in turn."""
    return []


@pytest.fixture
def run(stack: Stack, api: list[httpx.Response], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``lora-drop train`` against the stack's buckets and that API."""
    monkeypatch.setattr("lora_drop.client.stack.find_stack", lambda _: stack)
    monkeypatch.setattr(
        "lora_drop.client.lora_drop.LoraDrop", lambda found: answering(found, lambda _: api.pop(0))
    )
    return lambda *words: CliRunner().invoke(application(), ["train", *map(str, words)])


def uploaded(stack: Stack) -> dict[str, bytes]:
    """Everything in the datasets bucket."""
    s3 = stack.client("s3")
    rows = s3.list_objects_v2(Bucket="datasets").get("Contents", [])
    return {
        row["Key"]: s3.get_object(Bucket="datasets", Key=row["Key"])["Body"].read() for row in rows
    }


def test_what_the_stack_would_refuse_is_refused_before_it_is_uploaded(
    run: Run, stack: Stack, folder: Path
) -> None:
    (folder / "0.jpg").write_bytes(b"\xff\xd8\xff")

    result = run(folder)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: 0.jpg" in result.stderr
    assert result.stderr.endswith("rejected, 11 images. Nothing was uploaded.\n")
    assert "upload album" not in result.stderr
    assert uploaded(stack) == {}


def test_the_check_can_be_left_to_the_stack(run: Run, stack: Stack, folder: Path) -> None:
    (folder / "0.jpg").write_bytes(b"\xff\xd8\xff")

    assert run(folder, "--no-check", "--no-wait").exit_code == 0
    assert [*uploaded(stack)] == ["album.zip"]


def test_the_stacks_own_trainer_judges(run: Run, stack: Stack, folder: Path) -> None:
    object.__setattr__(stack, "application", "fal-ai/flux-2-trainer")

    result = run(folder, "--no-wait")

    assert result.exit_code == 1
    assert "(caption_missing)" in result.stderr
    assert uploaded(stack) == {}


def test_warnings_are_counted_and_the_price_and_the_word_are_told(run: Run, folder: Path) -> None:
    result = run(folder, "--trigger", "ada", "--no-wait")

    assert f"{folder}: accepted, 12 images, about $6.00, trigger phrase “ada”\n" in result.stderr
    assert f"warnings; to read them: lora-drop check {folder}\n" in result.stderr
    assert "(image_" not in result.stderr
    assert result.stdout.startswith("album-")


def test_clips_beside_the_photos_stay_here_and_the_verdict_is_the_same(
    run: Run, stack: Stack, folder: Path, tmp_path: Path
) -> None:
    (folder / "0.txt").write_text("a photo of ada")
    (folder / "twin.jpg").write_bytes((folder / "1.jpg").read_bytes())
    (folder / "live.MOV").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(10_000))
    here = check_dataset(folder)

    result = run(folder, "--no-wait")

    [dropped] = uploaded(stack).values()
    names = zipfile.ZipFile(io.BytesIO(dropped)).namelist()
    photos = [f"{number}.jpg" for number in range(12)]
    assert sorted(names) == sorted([*photos, "twin.jpg", "0.txt"])
    assert "not uploaded, being neither photos nor captions: live.MOV" in result.stderr
    (tmp_path / "dropped.zip").write_bytes(dropped)
    there = check_dataset(tmp_path / "dropped.zip")
    assert (there.verdict, there.images) == (here.verdict, here.images) == (Verdict.ACCEPTED, 12)


def test_a_zip_is_uploaded_as_it_is(run: Run, stack: Stack, folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "ada.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        archive.writestr("notes.pdf", b"%PDF-1.7")

    run(packed, "--no-wait")

    assert uploaded(stack) == {"ada.zip": packed.read_bytes()}


def test_who_follows_learns_the_price_the_word_and_where_the_report_is(
    run: Run, api: list[httpx.Response], folder: Path
) -> None:
    told = {
        "parameters": TrainingParameters(steps=1500, trigger_phrase="TOK_01234567"),
        "parameter_sources": {"trigger_phrase": ParameterSource.GENERATED},
        "estimated_cost_usd": 3.6,
    }
    api += [job_answer(status=status, **told) for status in (Status.READY, Status.FAILED)]

    result = run(folder)

    shown = [line.strip() for line in result.stderr.splitlines()]
    at = next(number for number, line in enumerate(shown) if "READY" in line)
    assert shown[at + 1 : at + 3] == [
        "estimate        $3.60",
        "trigger phrase  TOK_01234567  (made for this job)",
    ]
    assert "report          s3://models/portrait/ada/ada-486fb2366b/report.html" in shown
    assert "lora-drop download ada-486fb2366b fetches it" in shown
    assert shown.count("estimate        $3.60") == 1


def test_the_word_is_told_again_at_the_end(
    run: Run, api: list[httpx.Response], folder: Path
) -> None:
    phrase = TrainingParameters(steps=1500, trigger_phrase="ada")
    file = StoredFile(name="lora.safetensors", bucket="models", key="k", size=1, sha256="0" * 64)
    api.append(job_answer(status=Status.SUCCEEDED, parameters=phrase, files=(file,)))

    result = run(folder)

    assert result.exit_code == 0
    assert result.stderr.count("trigger phrase  ada") == 2


def test_what_is_wrong_with_many_photos_is_told_at_once(
    run: Run, api: list[httpx.Response], folder: Path
) -> None:
    raw = [
        Problem(code="image_unsupported_format", message=f"{name} is raw.", member=name)
        for name in (f"{number}.cr3" for number in range(40))
    ]
    api.append(job_answer(status=Status.REJECTED, problems=tuple(raw)))

    told = " ".join(run(folder).stderr.split())

    assert "40 files: each is raw. (0.cr3, 1.cr3, " in told
    assert "9.cr3 and 30 more; the report shows all) (image_unsupported_format)" in told


def test_a_rejected_job_names_its_report(run: Run, api: list[httpx.Response], folder: Path) -> None:
    api.append(job_answer(status=Status.REJECTED, parameters=None))

    assert "/report.html" in run(folder).stderr
