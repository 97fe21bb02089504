"""`lora-drop check` says on this machine what the stack would say, and connects to nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from lora_drop.cli.reports import FACE_LINES, changes_by_kind, problem_lines, urgent_lines
from lora_drop.datasets.report import ReportedChange
from lora_drop.jobs.problems import Problem
from tests.support.client_fixtures import Run, phone_data
from tests.support.foreign import foreign_archives, is_damaged
from tests.support.phone import PHOTOS
from tests.support.photos import encoded, picture

FIELDS = (
    *("file", "verdict", "errors", "warnings", "images", "mended", "changes", "trainer", "preset"),
    *("parameters", "estimated_cost_usd", "bytes_read", "requests", "seconds"),
    "faces_checked",
)


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.promise("interfaces stay")
def test_accepted_dataset_is_one_line(check: Run, phone: Path) -> None:
    """An accepted dataset is one line of JSON with these fields."""
    result = check("--json", phone)

    [row] = rows(result)
    assert result.exit_code == 0
    assert tuple(row) == FIELDS
    assert (row["file"], row["verdict"], row["errors"]) == (str(phone), "accepted", [])
    assert row["images"] == PHOTOS
    assert {tuple(each) for each in row["warnings"]} == {("code", "member", "message")}
    assert row["estimated_cost_usd"] == pytest.approx(0.0024 * row["parameters"]["steps"])
    assert row["bytes_read"] >= phone.stat().st_size * 0.9
    assert 0 < row["requests"] < 40
    assert row["seconds"] >= 0


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.zip"
    file.write_bytes(b"not a ZIP")
    return file


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_one_rejected_of_several(check: Run, phone: Path, bad: Path) -> None:
    """The exit code says that one of several datasets is rejected."""
    result = check("--json", bad, phone)
    assert result.exit_code == 1
    assert [row["verdict"] for row in rows(result)] == ["rejected", "accepted"]
    [error] = rows(result)[0]["errors"]
    assert (error["code"], error["member"]) == ("archive_invalid_format", None)


def test_rejected_dataset_has_a_report(check: Run, bad: Path, tmp_path: Path) -> None:
    assert check("--report", tmp_path / "report.html", bad).exit_code == 1
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "rejected"


def test_each_problem_says_what_to_do(check: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(phone_data()[:-1000])
    lines = check(bad).stdout.splitlines()
    assert lines[-1] == f"{bad}: rejected, 0 images"
    assert all(line.startswith(f"{bad}: ") for line in lines)
    assert "error:" in lines[0]
    assert lines[0].endswith(")")


def test_price_and_changes_are_shown(check: Run, phone: Path) -> None:
    last = check(phone).stdout.splitlines()[-1]
    assert last.startswith(f"{phone}: accepted, {PHOTOS} images, about $")
    assert "a mended copy is trained on (" in last
    assert "8\N{MULTIPLICATION SIGN} converted" in last
    assert "3\N{MULTIPLICATION SIGN} caption in UTF-8" in last
    assert "2\N{MULTIPLICATION SIGN} duplicate left out" in last


def test_trainer_and_key_decide(check: Run, folder: Path) -> None:
    """The trainer and the key decide as in a drop."""
    wanting = check("--json", "--trainer", "flux-2-trainer", folder)
    unknown = check("--json", "--trainer", "flux-2-trainr", folder)
    style = check("--key", "style/ada.zip", folder)
    assert [each["code"] for each in rows(wanting)[0]["errors"]] == ["caption_missing"]
    assert "did you mean flux-2-trainer?" in rows(unknown)[0]["errors"][0]["message"]
    assert (wanting.exit_code, unknown.exit_code) == (1, 1)
    assert "about $7.20" in style.stdout


def test_options_decide_as_in_a_training(check: Run, folder: Path) -> None:
    words = ("--preset", "quality", "--trigger", "ada", "--set", "steps=2000", folder)
    shown, [row] = check(*words).stdout, rows(check("--json", *words))
    assert "about $4.80, trigger phrase “ada”" in shown
    assert "(parameter_steps_unusual)" in shown
    assert tuple(row) == FIELDS
    assert "parameter_steps_unusual" in {each["code"] for each in row["warnings"]}
    assert "trigger phrase made for the job" in check(folder).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "0"], "steps in your options is “0”; it takes 1 to 10000."),
        (["--set", "trigger_word=ada"], "“trigger_word” in your options is not a parameter"),
        (["--set", "Steps=1", "--steps", "2000"], "in your options"),
    ],
)
def test_wrong_option_is_named(check: Run, folder: Path, words: list[str], said: str) -> None:
    """A message about an option speaks of the option and of nothing else."""
    result = check(*words, folder)
    assert result.exit_code == 1
    assert said in result.stdout
    assert "metadata" not in result.stdout
    assert "drop" not in result.stdout.removeprefix(str(folder)).split("(parameter_")[0]


def test_unsendable_option_is_refused(check: Run, folder: Path) -> None:
    for words, said in (
        (("--trigger", "two\nlines"), "on one line"),
        (("--set", "customer=7"), "customer: no trainer has such a parameter"),
    ):
        result = check(*words, folder)
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr
    assert "trigger phrase “Zoë”" in check("--trigger", "Zoë", folder).stdout


def test_report_for_people_and_programs(check: Run, phone: Path, tmp_path: Path) -> None:
    result = check("--report", tmp_path / "report", phone)
    report = json.loads((tmp_path / "report.json").read_text())
    page = (tmp_path / "report.html").read_text()

    assert (result.exit_code, "report.html and " in result.stderr) == (0, True)
    assert (report["file"], report["verdict"], report["mended"]) == ("phone.zip", "accepted", True)
    assert report["images"] == PHOTOS
    assert {change["code"] for change in report["changes"]} == {
        *("image_converted", "image_turned", "image_metadata_removed", "image_exact_duplicate"),
        *("dataset_flattened", "dataset_junk_dropped", "caption_encoding"),
    }
    assert "IMG_0000.jpg" in page
    assert "data:image/jpeg;base64," in page


@pytest.mark.promise("never lose a result")
def test_own_file_is_not_overwritten(check: Run, folder: Path) -> None:
    """A file of the user's own is not written over, and nothing is checked."""
    mine = folder / "training.json"
    mine.write_text('{"steps": 1500}')
    result = check(folder, "--report", folder / "training.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "training.json is there already" in " ".join(result.stderr.split())
    assert mine.read_text() == '{"steps": 1500}'
    assert not (folder / "training.html").exists()


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_unwritable_report_hides_no_verdict(
    check: Run, phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    def full(_: object) -> str:
        raise OSError("No space left on device")

    wanted = tmp_path / "report.html"
    monkeypatch.setattr("lora_drop.client.report_files.html_text", full)
    result = check(phone, "--report", wanted, *how)

    assert result.exit_code == 1
    assert "accepted" in result.stdout
    assert "No space left on device" in " ".join(result.stderr.split())


def test_impossible_checks_are_explained(check: Run, phone: Path, tmp_path: Path) -> None:
    missing = check(tmp_path / "none.zip")
    two = check("--report", tmp_path / "r.html", phone, phone)
    unwritable = check("--report", phone / "r.html", phone)

    assert "There is no file or folder" in missing.stderr
    assert "one dataset at a time" in two.stderr
    assert "Nothing was checked" in " ".join(unwritable.stderr.split())
    assert unwritable.stdout == ""
    assert {each.exit_code for each in (missing, two, unwritable)} == {1}


def test_foreign_archives_get_a_verdict(check: Run, corpora: Path) -> None:
    """Each foreign archive gets a verdict within 40 requests, and only damage is the archive's."""
    names = [name for name, _ in foreign_archives(corpora)]
    result = check("--json", *(corpora / "zip" / name for name in names))

    assert result.exit_code == 1
    assert [row["file"] for row in rows(result)] == [str(corpora / "zip" / name) for name in names]
    for name, row in zip(names, rows(result), strict=True):
        codes = [error["code"] for error in row["errors"]]
        assert "dataset_check_failed" not in codes, name
        assert any(code.startswith("archive_") for code in codes) == is_damaged(name), (name, codes)
        assert (row["verdict"] == "rejected") == bool(codes), name
        assert row["requests"] <= 40, name


def test_face_lines_are_few() -> None:
    """Of many kinds of faces the first lines are shown, those about another person before all, and the rest counted."""
    codes = ("none", "several", "small", "turned", "covered", "blurred", "other_person")
    faces = [
        Problem(code=f"image_face_{code}", message=f"{code}.jpg is {code}.", member=f"{code}.jpg")
        for code in codes
    ]
    blurred = Problem(code="image_blurred", message="x.jpg is blurred.", member="x.jpg")
    lines = list(urgent_lines((blurred, *faces), "all"))
    assert lines[0] == "warning: other_person.jpg is other_person. (image_face_other_person)"
    assert (len(lines), lines[-1]) == (FACE_LINES + 1, "and 2 more about faces")
    assert list(urgent_lines((blurred,), "all")) == []


def test_changes_are_told_apart() -> None:
    """A photo's hidden data and the ZIP's, and a caption of a list and the photo's own, have words of their own."""
    made = [
        ReportedChange(code=code, member=member, message="It was changed.")
        for code, member in (
            ("image_metadata_removed", "a.jpg"),
            ("archive_metadata_removed", ""),
            ("caption_collected", "a.jpg"),
            ("caption_collected", "metadata.jsonl"),
        )
    ]
    words = [each.partition("\N{MULTIPLICATION SIGN} ")[2] for each in changes_by_kind(made)]
    assert words == [
        "hidden data of a photo removed",
        "hidden data of the ZIP removed",
        "caption taken from the photo's own data",
        "caption taken from a list",
    ]


def test_one_change_is_one(check: Run, folder: Path) -> None:
    (folder / "Thumbs.db").write_bytes(b"junk")
    (folder / "notes.pdf").write_bytes(b"%PDF-1.7")
    assert "(1 file changed: 1\N{MULTIPLICATION SIGN} other file left out)" in check(folder).stdout


def test_many_problems_are_one_line(check: Run, folder: Path) -> None:
    for number in range(12, 46):
        (folder / f"clip{number}.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    result = check(folder)

    [line] = [line for line in result.stdout.splitlines() if "dataset_other_file" in line]
    assert line == (
        f"{folder}: warning: 34 files: each is neither a photo nor a caption, and is left out. "
        "(clip12.mov, clip13.mov, clip14.mov and 31 more; --report shows all) (dataset_other_file)"
    )
    assert len(result.stdout.splitlines()) < 8
    row = json.loads(check("--json", folder).stdout)
    assert len([each for each in row["warnings"] if each["code"] == "dataset_other_file"]) == 34


def test_differing_messages_become_their_code(check: Run, folder: Path) -> None:
    for number in range(3):
        photo = encoded(picture(400 + number, 400, seed=number), "JPEG")
        (folder / f"{number}.jpg").write_bytes(photo)
    shown = check(folder).stdout
    assert "3 files: A photo has few pixels. Put in a larger original" in shown
    assert "(0.jpg, 1.jpg, 2.jpg) (image_low_resolution)" in shown


def test_missing_photos_are_explained(check: Run, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.CR3").write_bytes(b"\0\0\0\x18ftypcrx \0\0\0\1")
    (tmp_path / "notes.pdf").write_bytes(b"%PDF-1.7")
    lines = check(tmp_path).stdout.splitlines()

    assert lines[-1] == (
        f"{tmp_path}: rejected, 0 images (found instead: 12 .cr3 files, 1 .pdf file)"
    )
    [raw] = [line for line in lines if "image_unsupported_format" in line]
    assert "12 files: each is a raw camera file. Export the photo as JPEG" in raw
    assert "and 2 more; --report shows all)" in raw


def test_folder_is_called_a_folder(check: Run, folder: Path) -> None:
    for number in range(4):
        (folder / f"{number}.jpg").unlink()
    (folder / "more").mkdir()
    (folder / "more" / "training.json").write_text("{}")
    said = check(folder).stdout
    for words in ("The folder holds 8 images", "Add photos. (", "is not in the folder itself"):
        assert words in said
    assert not {"ZIP", "archive"} & set(said.split())


def test_unfollowed_links_are_named(check: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "out.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    result = check(folder)
    assert result.exit_code == 0
    assert "1 link out of the folder not followed (out.jpg)" in result.stderr


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("number", [1, 5])
def test_names_cannot_steer_the_terminal(number: int) -> None:
    """Names of members cannot steer the terminal."""
    names = [f"{each}\x1b[2J.mov" for each in range(number)]
    found = [Problem(code="dataset_other_file", message=name, member=name) for name in names]
    [line] = problem_lines(found, 3, all_of_them="--report shows all")
    assert "0[U+001B][2J.mov" in line
    assert line.isprintable()
