"""What the command says of faces: five photos by name, and once what is missing to look for them."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lora_drop.cli.command_line import command
from lora_drop.cli.direct_words import say_checked
from lora_drop.cli.display import Display
from lora_drop.client.check import check_dataset
from lora_drop.client.errors import CommandError
from lora_drop.client.face_check import EXTRA_MISSING, FaceCheck, is_wanted, local_faces
from lora_drop.client.stack import Stack
from lora_drop.local.stack import SAMPLE
from tests.support.client_fixtures import Run, invoke, uploaded
from tests.support.face_photos import FIVE, STRANGER, as_archive, five_photos

REMOTE = Path("five.zip")


@pytest.fixture(autouse=True)
def _wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_DROP_FACES", "true")


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime is not installed."""
    monkeypatch.setattr("lora_drop.adapters.faces.faces_available", lambda: False)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("five") / "ada.zip"
    file.write_bytes(as_archive(five_photos()))
    return file


def about_faces(found: list[dict[str, Any]]) -> dict[str | None, str]:
    """The code of each finding about faces, by the photo."""
    codes = ("image_face_", "dataset_face_")
    return {each["member"]: each["code"] for each in found if each["code"].startswith(codes)}


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_five_photos_are_named(check: Run, five: Path, tmp_path: Path) -> None:
    """A stranger, a group, the back of a head, a 20-pixel face and a photo on its side are named, and no other photo."""
    result = check("--json", "--report", f"{tmp_path}/report/", five)

    row = json.loads(result.stdout)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    page = (tmp_path / "report" / "report.html").read_text()
    assert result.exit_code == 0
    assert about_faces(row["warnings"]) == about_faces(report["warnings"]) == FIVE
    assert row["faces_checked"] is report["faces_checked"] is True
    assert [code in page for code in FIVE.values()] == [True] * 5
    assert page.count('class="mark"') == 5
    seen = [each for each in report["photos"] if each["faces"]]
    assert (len(seen), page.count("<rect ")) == (13, sum(len(each["faces"]) for each in seen))
    similarity = {each["member"]: each["faces"][0]["similarity"] for each in seen}
    assert similarity[STRANGER] < 0.3
    assert min(like for member, like in similarity.items() if member not in FIVE) > 0.8
    assert EXTRA_MISSING not in result.stderr


@pytest.mark.parametrize("words", [[SAMPLE], [REMOTE, "--preset", "style"], [REMOTE, "--no-faces"]])
def test_nothing_is_said_of_other_faces(check: Run, five: Path, words: list[Any]) -> None:
    """The sample's faces are one person's; a style is not asked, and neither is who does not want to be."""
    result = check("--json", *(five if word == REMOTE else word for word in words))
    row = json.loads(result.stdout)
    assert about_faces(row["warnings"]) == {}
    assert row["faces_checked"] is (words == [SAMPLE])


@pytest.mark.usefixtures("no_extra")
def test_missing_extra_is_said_once(check: Run, five: Path) -> None:
    result = check("--json", five, five)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.stderr.splitlines() == [EXTRA_MISSING]
    assert [row["faces_checked"] for row in rows] == [False, False]
    assert [about_faces(row["warnings"]) for row in rows] == [{}, {}]


@pytest.mark.usefixtures("no_extra")
@pytest.mark.parametrize("words", [["--preset", "style"], ["--no-faces"]])
def test_missing_extra_matters_to_portraits_alone(check: Run, five: Path, words: list[str]) -> None:
    assert check(five, *words).stderr == ""


@pytest.mark.usefixtures("no_extra")
def test_style_of_another_trainer_asks_for_none(check: Run, five: Path) -> None:
    options = ("--trainer", "flux-lora-fast-training", "--set", "is_style=true")
    assert check(five, *options).stderr == ""


def test_next_command_keeps_the_option(check: Run, five: Path) -> None:
    assert command("train", "a.zip", {"faces": False}, direct=False).endswith("--no-faces")
    assert check(five, "--no-faces").exit_code == 0


@pytest.mark.usefixtures("no_extra")
@pytest.mark.parametrize(("words", "said"), [([], f"{EXTRA_MISSING}\n"), (["--no-faces"], "")])
def test_page_says_that_the_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], said: str
) -> None:
    def serve(application: Callable[[], AbstractContextManager[object]], **_: object) -> None:
        with application():
            pass

    monkeypatch.setattr("lora_drop.ui.server.serve", serve)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("FAL_KEY", "key:secret")
    result = invoke("ui", "--direct", "--no-open", *words)
    assert (result.exit_code, result.stderr) == (0, said)


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("faces", "words", "code"),
    [
        (FaceCheck(one_person=True), [], 1),
        (FaceCheck(one_person=True), ["--no-faces"], 0),
        (FaceCheck(), [], 0),
        (FaceCheck(wanted=False, one_person=True), [], 0),
    ],
)
def test_stranger_is_refused_before_the_upload(
    run: Run, stack: Stack, five: Path, faces: FaceCheck, words: list[str], code: int
) -> None:
    """A dataset with another person is refused before a byte is sent, where the stack refuses it."""
    object.__setattr__(stack, "faces", faces)
    result = run("train", five, "--no-wait", *words)
    assert result.exit_code == code
    assert f"error: {STRANGER}" in result.stderr or code == 0
    assert ("Nothing was uploaded" in result.stderr) == (code == 1)
    assert bool(uploaded(stack)) == (code == 0)


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_faces_are_said_before_upload(run: Run, five: Path) -> None:
    """What is wrong with the faces is said in full before the upload, another person first; the rest is counted."""
    lines = run("train", five, "--no-wait").stderr.splitlines()
    assert [line.rpartition("(")[2][:-1] for line in lines[:5]] == [
        "image_face_other_person",
        *(code for code in FIVE.values() if code != "image_face_other_person"),
    ]
    assert lines[0].startswith(f"warning: {STRANGER} seems to show another person")
    assert "faces: one person in 10 of 14 photos" in lines[5]
    assert lines[6] == f"7 warnings; to read them: lora-drop check {five}"


def test_direct_training_says_the_same(five: Path, capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(Console(file=sys.stdout, width=1000))
    say_checked(check_dataset(five), str(five), {}, display)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"warning: {STRANGER} seems to show another person")
    assert len([line for line in lines if "_face_" in line]) == 5


def test_check_counts_the_person(check: Run, five: Path, tmp_path: Path) -> None:
    """Where all is well it is said as well, in the summary and in the report."""
    result = check(SAMPLE, "--report", f"{tmp_path}/")
    assert "about $3.60, faces: one person in 14 of 14 photos, trigger" in result.stdout
    assert (
        "<dt>Faces</dt><dd>One person in 14 of 14 photos</dd>"
        in (tmp_path / "report.html").read_text()
    )
    assert "faces: one person in 10 of 14 photos" in check(five).stdout
    assert "faces:" not in check(SAMPLE, "--no-faces").stdout


@pytest.mark.parametrize("way", ["variable", "defaults", "caller"])
def test_faces_are_turned_off(way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One variable, one line of the defaults or the caller is enough to look for no faces."""
    monkeypatch.setenv("LORA_DROP_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("LORA_DROP_FACES")
    assert local_faces(FaceCheck()) is local_faces(FaceCheck()) is not None
    if way == "variable":
        monkeypatch.setenv("LORA_DROP_FACES", "false")
    if way == "defaults":
        (tmp_path / "config.toml").write_text('faces = "false"\n')
    assert local_faces(FaceCheck(wanted=way != "caller")) is None


def test_wrong_word_is_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_DROP_FACES", "off")
    with pytest.raises(CommandError, match="LORA_DROP_FACES: faces cannot be 'off'"):
        is_wanted(FaceCheck())


@pytest.mark.parametrize(
    ("outputs", "faces"),
    [
        ({}, FaceCheck()),
        ({"FaceCheck": "true", "RequireOnePerson": "true"}, FaceCheck(one_person=True)),
        ({"FaceCheck": "false", "RequireOnePerson": "false"}, FaceCheck(wanted=False)),
    ],
)
def test_stack_says_what_its_check_does(outputs: dict[str, str], faces: FaceCheck) -> None:
    assert FaceCheck.of_outputs(outputs) == faces
