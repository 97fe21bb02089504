"""`lora-drop train` uploads what the stack will accept, and says what a person has to know of it."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_drop.client.check import check_dataset
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import Stack
from lora_drop.datasets.report import Verdict
from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_archive
from tests.support.client_fixtures import Api, Run, answering, job_answer, photo


@pytest.fixture
def train(run: Run) -> Run:
    """Run ``lora-drop train``."""
    return lambda *words: run("train", *words)


def uploaded(stack: Stack) -> dict[str, Any]:
    """Everything in the datasets bucket."""
    s3 = stack.client("s3")
    rows = s3.list_objects_v2(Bucket="datasets").get("Contents", [])
    return {row["Key"]: s3.get_object(Bucket="datasets", Key=row["Key"]) for row in rows}


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_bad_dataset_is_not_uploaded(train: Run, stack: Stack, folder: Path) -> None:
    """A dataset that the stack would reject is not uploaded."""
    (folder / "0.jpg").write_bytes(b"\xff\xd8\xff")
    result = train(folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: 0.jpg" in result.stderr
    assert result.stderr.endswith("rejected, 11 images. Nothing was uploaded.\n")
    assert "upload album" not in result.stderr
    assert uploaded(stack) == {}


def test_check_can_be_left_out(train: Run, stack: Stack, folder: Path) -> None:
    (folder / "0.jpg").write_bytes(b"\xff\xd8\xff")
    assert train(folder, "--no-check", "--no-wait").exit_code == 0
    assert [*uploaded(stack)] == ["album.zip"]


def test_default_trainer_decides(train: Run, stack: Stack, folder: Path) -> None:
    object.__setattr__(stack, "application", "fal-ai/flux-2-trainer")
    result = train(folder, "--no-wait")
    assert result.exit_code == 1
    assert "(caption_missing)" in result.stderr
    assert uploaded(stack) == {}


def test_warnings_and_price_are_shown(train: Run, folder: Path) -> None:
    result = train(folder, "--trigger", "ada", "--no-wait")
    assert f"{folder}: accepted, 12 images, about $6.00, trigger phrase “ada”\n" in result.stderr
    assert f"warnings; to read them: lora-drop check {folder} --trigger ada\n" in result.stderr
    assert "(image_" not in result.stderr
    assert result.stdout.startswith("album-")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--proof"], "about $6.00, and a proof sheet of four pictures, about $0.14, trigger"),
        (["--no-proof"], "about $6.00, trigger"),
        (
            ["--proof", "--trainer", "turbo-flux-trainer", "--preset", "style"],
            "and a proof sheet of four pictures",
        ),
    ],
)
def test_proof_sheet_has_its_price(train: Run, folder: Path, words: list[str], said: str) -> None:
    """What the pictures cost is said beside the estimate, before the upload."""
    result = train(folder, "--trigger", "ada", "--no-wait", *words)
    assert said in result.stderr.partition("upload")[0]


def test_untrained_phrase_is_said_before_the_upload(train: Run, folder: Path) -> None:
    """A trigger phrase that no caption has is said in full before the training is paid for."""
    for each in folder.glob("*.jpg"):
        each.with_suffix(".txt").write_text("a portrait in daylight")
    result = train(folder, "--trigger", "ada", "--no-wait")
    before = result.stderr.partition("upload")[0]
    assert "warning: None of the 12 captions has [trigger] or “ada”" in before


@pytest.mark.parametrize(("words", "said"), [([], True), (["--no-proof"], False)])
def test_stacks_own_proof_sheet_has_its_price(
    train: Run, stack: Stack, folder: Path, *, words: list[str], said: bool
) -> None:
    """Where the stack makes a proof sheet of each training, its price is said before the upload, unless there is none."""
    object.__setattr__(stack, "proof_sheet", True)
    result = train(folder, "--trigger", "ada", "--no-wait", *words)
    assert ("a proof sheet of four pictures, about $0.14" in result.stderr) == said


def test_sheet_is_still_being_made(train: Run, api: Api, folder: Path) -> None:
    """After the training a person reads how the pictures of its proof sheet are seen, or why there are none."""
    said = "The pictures of the proof sheet are being made: lora-drop job ada-486fb2366b shows them"
    for sheet, expected in ((ProofSheet(), said), (ProofSheet(note="Not of it.", done_at=NOW), "No proof sheet: Not of it."), (None, "")):  # fmt: skip
        api.answers = [job_answer(status=Status.SUCCEEDED, proof=sheet)]
        result = train(folder)
        assert result.exit_code == 0
        assert expected in result.stderr
        assert ("proof sheet" in result.stderr) == bool(expected)


def test_clips_are_not_uploaded(train: Run, stack: Stack, folder: Path, tmp_path: Path) -> None:
    """Clips beside the photos stay here, and the verdict is the same."""
    (folder / "0.txt").write_text("a photo of ada")
    (folder / "twin.jpg").write_bytes((folder / "1.jpg").read_bytes())
    (folder / "live.MOV").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(10_000))
    here = check_dataset(folder)
    result = train(folder, "--no-wait")

    [dropped] = uploaded(stack).values()
    (tmp_path / "dropped.zip").write_bytes(dropped["Body"].read())
    names = zipfile.ZipFile(tmp_path / "dropped.zip").namelist()
    photos = [f"{number}.jpg" for number in range(12)]
    assert sorted(names) == sorted([*photos, "twin.jpg", "0.txt"])
    assert "not uploaded, being neither photos nor captions: live.MOV" in result.stderr
    there = check_dataset(tmp_path / "dropped.zip")
    assert (there.verdict, there.images) == (here.verdict, here.images) == (Verdict.ACCEPTED, 12)


def test_zip_is_uploaded_as_it_is(train: Run, stack: Stack, folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "ada.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        archive.writestr("notes.pdf", b"%PDF-1.7")
    train(packed, "--no-wait")
    [(key, dropped)] = uploaded(stack).items()
    assert (key, dropped["Body"].read()) == ("ada.zip", packed.read_bytes())


def test_followed_job_shows_its_facts(train: Run, api: Api, folder: Path) -> None:
    facts: dict[str, Any] = {
        "parameters": TrainingParameters(steps=1500, trigger_phrase="TOK_01234567"),
        "parameter_sources": {"trigger_phrase": ParameterSource.GENERATED},
        "estimated_cost_usd": 3.6,
    }
    api.answers += [job_answer(status=status, **facts) for status in (Status.READY, Status.FAILED)]
    result = train(folder)

    shown = [line.strip() for line in result.stderr.splitlines()]
    at = next(number for number, line in enumerate(shown) if "READY" in line)
    assert shown[at + 1 : at + 3] == [
        "estimate        $3.60",
        "trigger phrase  TOK_01234567  (made for this job)",
    ]
    assert "report          s3://models/portrait/ada/ada-486fb2366b/report.html" in shown
    assert "lora-drop download ada-486fb2366b fetches it" in shown
    assert shown.count("estimate        $3.60") == 1


def test_trigger_phrase_shown_at_end(train: Run, api: Api, folder: Path) -> None:
    phrase = TrainingParameters(steps=1500, trigger_phrase="ada")
    file = StoredFile(name="lora.safetensors", bucket="models", key="k", size=1, sha256="0" * 64)
    api.answers.append(job_answer(status=Status.SUCCEEDED, parameters=phrase, files=(file,)))
    result = train(folder)
    assert result.exit_code == 0
    assert result.stderr.count("trigger phrase  ada") == 2


def test_many_problems_are_one_line(train: Run, api: Api, folder: Path) -> None:
    raw = [
        Problem(code="image_unsupported_format", message=f"{name} is raw.", member=name)
        for name in (f"{number}.cr3" for number in range(40))
    ]
    api.answers.append(job_answer(status=Status.REJECTED, parameters=None, problems=tuple(raw)))
    shown = " ".join(train(folder).stderr.split())

    assert "40 files: each is raw. (0.cr3, 1.cr3, " in shown
    assert "/report.html" in shown
    assert "9.cr3 and 30 more; the report shows all) (image_unsupported_format)" in shown


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    file = tmp_path / "ada.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(10):
            archive.writestr(f"{number}.jpg", photo(300, number))
    return file


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "portait"], "did you mean portrait?"),
        (["--trainer", "flux-2-trainr"], "did you mean flux-2-trainer?"),
        (["--steps", "0"], "it takes 1 to 10000"),
        (["--learning-rate", "0.5"], "it takes 0.000001 to 0.001"),
        (["--set", "trigger_word=ada"], "did you mean trigger_phrase?"),
        (["--set", "training_style=style"], "it is one of turbo-flux-trainer"),
        (["--trainer", "qwen-image-trainer", "--steps", "8001"], "it takes 1 to 8000"),
        (["--trainer", "flux-2-trainer", "--no-subject-crop"], "of flux-2-trainer"),
        (["--resume-from-checkpoint", "nonsense"], "or the id of an earlier job"),
        (["--set", "steps"], "--set is NAME=VALUE"),
        (["--set", "steps=1000", "--steps", "1000"], "steps is given twice"),
    ],
)
def test_wrong_parameter_is_not_uploaded(
    train: Run, stack: Stack, photos: Path, words: list[str], said: str
) -> None:
    """A wrong parameter is explained with what may be meant, and nothing is uploaded."""
    result = train(photos, "--no-wait", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in " ".join(result.stderr.split())
    assert uploaded(stack) == {}


def test_right_parameters_are_sent(train: Run, stack: Stack, photos: Path) -> None:
    words = ("--trainer", "turbo-flux-trainer", "--trigger", "ada", "--steps", "1500")
    result = train(photos, "--no-wait", *words, "--set", "training-style=subject")

    assert result.exit_code == 0, result.stderr
    assert uploaded(stack)["ada.zip"]["Metadata"] == {
        "trainer": "turbo-flux-trainer",
        "training_style": "subject",
        "trigger_phrase": "ada",
        "steps": "1500",
    }


def test_advice_stops_nothing(train: Run, stack: Stack, photos: Path) -> None:
    result = train(photos, "--no-wait", "--preset", "portrait", "--steps", "600")
    assert result.exit_code == 0
    assert "1000 steps would cost the same" in " ".join(result.stderr.split())
    assert "(parameter_steps_unusual)" in " ".join(result.stderr.split())
    assert len(uploaded(stack)) == 1


def drop(stack: Stack, file: Path, **parameters: object) -> list[Problem]:
    """What is advised on the way of a drop."""
    advised: list[Problem] = []
    answering(stack, Api()).drop(file, parameters=parameters, advise=advised.append)
    return advised


def test_trainer_of_training_json(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(make_archive(training={"trainer": "qwen-image-trainer-v2"}, folder="ada/"))
    assert [each.code for each in drop(stack, file, steps=20_000)] == []
    with pytest.raises(CommandError, match="100 to 30000"):
        drop(stack, file, steps=99)
    assert len(uploaded(stack)) == 1


def test_trainer_of_the_stack(stack: Stack, photos: Path) -> None:
    flux_2 = replace(stack, application="fal-ai/flux-2-trainer")
    drop(flux_2, photos, default_caption="ada")
    with pytest.raises(CommandError, match="did you mean trigger_phrase"):
        drop(stack, photos, default_caption="ada")


BY_STACK = {
    "a mistake in training.json": make_archive(training={"trigger_word": "ada"}),
    "an unknown trainer in training.json": make_archive(training={"trainer": "x"}),
    "too few photos": make_archive(images=2),
    "no archive": b"these are not the photos you are looking for",
    "nothing": b"",
}


@pytest.mark.parametrize("case", BY_STACK)
def test_dataset_is_left_to_the_stack(stack: Stack, tmp_path: Path, case: str) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(BY_STACK[case])
    assert drop(stack, file, steps=1200) == []
    assert len(uploaded(stack)) == 1


def test_options_beside_wrong_training_json(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(make_archive(training={"trigger_word": "ada"}))
    with pytest.raises(CommandError) as failed:
        drop(stack, file, steps=0)
    assert str(failed.value).startswith("Nothing was uploaded.\nsteps in your options is “0”")
    assert "trigger_word" not in str(failed.value)


def test_force_takes_true_or_false(stack: Stack, photos: Path) -> None:
    with pytest.raises(CommandError, match="takes true or false"):
        drop(stack, photos, force="maybe")
    assert uploaded(stack) == {}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("setting", "preset", "code"), [("refuse", "", 1), ("refuse", "fast", 0), ("warn", "", 0)]
)
def test_misspelled_folder_is_refused_before_the_upload(
    train: Run, stack: Stack, folder: Path, setting: str, preset: str, code: int
) -> None:
    """A folder that is nearly a preset's is refused before a byte is sent, where the stack refuses it."""
    object.__setattr__(stack, "misspelled_folder", setting)
    given = ["--preset", preset] if preset else []
    result = train(folder, "--key", "portait/ada.zip", "--no-wait", *given)
    assert result.exit_code == code
    assert ("Drop it into portrait/" in result.stderr) == (code == 1)
    assert bool(uploaded(stack)) == (code == 0)
