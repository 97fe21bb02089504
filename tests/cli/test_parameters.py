"""Wrong parameters are told before a byte is uploaded; what lies in the dataset is the stack's."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from lora_drop.cli.main import application
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import Stack
from lora_drop.jobs.problems import Problem
from tests.support.builders import make_archive
from tests.support.client_fixtures import answering
from tests.support.photos import encoded, picture

type Run = Callable[..., Result]


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nobody asked for {request.url}")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    file = tmp_path / "ada.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(10):
            archive.writestr(f"{number}.jpg", encoded(picture(300, 300, seed=number), "JPEG"))
    return file


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``lora-drop train`` without waiting, against the stack's buckets alone."""
    monkeypatch.setattr("lora_drop.client.stack.find_stack", lambda _: stack)
    monkeypatch.setattr(
        "lora_drop.client.lora_drop.LoraDrop", lambda found: answering(found, never)
    )
    return lambda *words: CliRunner().invoke(application(), ["train", "--no-wait", *words])


def uploads(stack: Stack) -> list[dict[str, Any]]:
    """The metadata of everything that was uploaded."""
    s3 = stack.client("s3")
    keys = [row["Key"] for row in s3.list_objects_v2(Bucket="datasets").get("Contents", [])]
    return [s3.head_object(Bucket="datasets", Key=key)["Metadata"] for key in keys]


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
def test_a_slip_is_told_with_what_is_meant_and_nothing_is_uploaded(
    run: Run, stack: Stack, photos: Path, words: list[str], said: str
) -> None:
    result = run(str(photos), *words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert said in " ".join(result.stderr.split())
    assert uploads(stack) == []


def test_what_is_right_is_sent_along(run: Run, stack: Stack, photos: Path) -> None:
    words = ("--trainer", "turbo-flux-trainer", "--trigger", "ada", "--steps", "1500")

    result = run(str(photos), *words, "--set", "training-style=subject")

    assert result.exit_code == 0, result.stderr
    assert uploads(stack) == [
        {
            "trainer": "turbo-flux-trainer",
            "trigger_phrase": "ada",
            "steps": "1500",
            "training_style": "subject",
        }
    ]


def test_advice_is_told_and_stops_nothing(run: Run, stack: Stack, photos: Path) -> None:
    result = run(str(photos), "--preset", "portrait", "--steps", "600")

    assert result.exit_code == 0
    assert "1000 steps would cost the same" in " ".join(result.stderr.split())
    assert "(parameter_steps_unusual)" in " ".join(result.stderr.split())
    assert len(uploads(stack)) == 1


def drop(stack: Stack, file: Path, **parameters: object) -> list[Problem]:
    """What is advised on the way of a drop."""
    advised: list[Problem] = []
    answering(stack, never).drop(file, parameters=parameters, advise=advised.append)
    return advised


def test_the_trainer_is_the_one_that_training_json_names(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(make_archive(training={"trainer": "qwen-image-trainer-v2"}, folder="ada/"))

    assert [each.code for each in drop(stack, file, steps=20_000)] == []
    with pytest.raises(CommandError, match="100 to 30000"):
        drop(stack, file, steps=99)
    assert len(uploads(stack)) == 1


def test_the_trainer_is_the_stacks_where_nothing_names_another(stack: Stack, photos: Path) -> None:
    flux_2 = replace(stack, application="fal-ai/flux-2-trainer")

    drop(flux_2, photos, default_caption="ada")
    with pytest.raises(CommandError, match="did you mean trigger_phrase"):
        drop(stack, photos, default_caption="ada")


BY_STACK = {
    "a slip in training.json": make_archive(training={"trigger_word": "ada"}),
    "a trainer that nobody knows in training.json": make_archive(training={"trainer": "x"}),
    "too few photos": make_archive(images=2),
    "no archive": b"these are not the photos you are looking for",
    "nothing": b"",
}


@pytest.mark.parametrize("case", BY_STACK)
def test_what_is_wrong_with_the_dataset_is_left_to_the_stacks_verdict(
    stack: Stack, tmp_path: Path, case: str
) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(BY_STACK[case])

    assert drop(stack, file, steps=1200) == []
    assert len(uploads(stack)) == 1


def test_options_are_told_beside_a_slip_in_training_json(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(make_archive(training={"trigger_word": "ada"}))

    with pytest.raises(CommandError) as failed:
        drop(stack, file, steps=0)

    assert str(failed.value).startswith("Nothing was uploaded.\nsteps in your options is “0”")
    assert "trigger_word" not in str(failed.value)


def test_force_takes_true_or_false(stack: Stack, photos: Path) -> None:
    with pytest.raises(CommandError, match="takes true or false"):
        drop(stack, photos, force="maybe")
    assert uploads(stack) == []
