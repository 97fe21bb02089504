"""`lora-drop check` says here what the stack would say, and asks nobody."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.report import Verdict
from tests.support.checking import checked
from tests.support.client_fixtures import RunCheck
from tests.support.foreign import foreign_archives, is_damaged
from tests.support.memory_files import MemoryRange
from tests.support.phone import PHOTOS, phone_dataset

FIELDS = ("file", "verdict", "errors", "warnings", "images", "bytes_read", "requests", "seconds")


def rows(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_good_dataset_is_accepted_on_one_line_with_these_fields(
    check: RunCheck, phone: Path
) -> None:
    result = check("--json", phone)

    [row] = rows(result)
    assert result.exit_code == 0
    assert tuple(row) == FIELDS
    assert (row["file"], row["verdict"], row["errors"]) == (str(phone), "accepted", [])
    assert row["images"] == PHOTOS
    assert {tuple(each) for each in row["warnings"]} == {("code", "member", "message")}
    assert row["bytes_read"] >= phone.stat().st_size * 0.9
    assert 0 < row["requests"] < 40
    assert row["seconds"] >= 0


def test_one_rejected_of_several_is_told_by_the_exit_code(
    check: RunCheck, phone: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"not a ZIP")

    result = check("--json", bad, phone)

    assert result.exit_code == 1
    assert [row["verdict"] for row in rows(result)] == ["rejected", "accepted"]
    [error] = rows(result)[0]["errors"]
    assert (error["code"], error["member"]) == ("archive_invalid_format", None)


def test_every_finding_is_a_line_of_text_that_says_what_to_do(
    check: RunCheck, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(phone_dataset()[:-1000])

    lines = check(bad).stdout.splitlines()

    assert lines[-1] == f"{bad}: rejected, 0 images"
    assert all(line.startswith(f"{bad}: ") for line in lines)
    assert "error:" in lines[0]
    assert lines[0].endswith(")")


def test_what_it_would_cost_and_whether_it_is_mended_is_told(check: RunCheck, phone: Path) -> None:
    last = check(phone).stdout.splitlines()[-1]

    assert last.startswith(f"{phone}: accepted, {PHOTOS} images, about $")
    assert "a mended copy is trained on (" in last
    assert "8\N{MULTIPLICATION SIGN} converted" in last
    assert "3\N{MULTIPLICATION SIGN} caption in UTF-8" in last
    assert "2\N{MULTIPLICATION SIGN} duplicate left out" in last


def test_a_folder_is_checked_as_it_would_be_dropped(check: RunCheck, folder: Path) -> None:
    [row] = rows(check("--json", folder))

    assert (row["file"], row["verdict"], row["images"]) == (str(folder), "accepted", 12)


def test_the_trainer_and_the_key_decide_as_in_a_drop(check: RunCheck, folder: Path) -> None:
    wanting = check("--json", "--trainer", "flux-2-trainer", folder)
    unknown = check("--json", "--trainer", "flux-2-trainr", folder)
    style = check("--key", "style/ada.zip", folder)

    assert [each["code"] for each in rows(wanting)[0]["errors"]] == ["caption_missing"]
    assert "did you mean flux-2-trainer?" in rows(unknown)[0]["errors"][0]["message"]
    assert (wanting.exit_code, unknown.exit_code) == (1, 1)
    assert "about $7.20" in style.stdout


def test_the_options_of_a_training_decide_as_in_that_training(
    check: RunCheck, folder: Path
) -> None:
    words = ("--preset", "quality", "--trigger", "ada", "--set", "steps=2000", folder)

    told, [row] = check(*words).stdout, rows(check("--json", *words))

    assert "about $4.80, trigger phrase “ada”" in told
    assert "(parameter_steps_unusual)" in told
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
def test_what_is_wrong_with_an_option_is_said_of_the_option(
    check: RunCheck, folder: Path, words: list[str], said: str
) -> None:
    result = check(*words, folder)

    assert result.exit_code == 1
    assert said in result.stdout
    assert "metadata" not in result.stdout
    assert "drop" not in result.stdout.removeprefix(str(folder)).split("(parameter_")[0]


def test_what_cannot_be_sent_along_is_told_by_the_check_already(
    check: RunCheck, folder: Path
) -> None:
    result = check("--trigger", "Zoë", folder)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "training.json" in result.stderr


@pytest.mark.parametrize("name", ["report.html", "report.json", "report", "", "new/../"])
def test_the_report_is_written_for_people_and_for_programs(
    check: RunCheck, phone: Path, tmp_path: Path, name: str
) -> None:
    result = check("--report", f"{tmp_path}/{name}", phone)

    assert result.exit_code == 0
    assert "report.html and " in result.stderr
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["file"], told["verdict"], told["images"]) == ("phone.zip", "accepted", PHOTOS)
    page = (tmp_path / "report.html").read_text()
    assert "IMG_0000.jpg" in page
    assert "data:image/jpeg;base64," in page


def test_a_rejected_dataset_has_a_report_as_well(check: RunCheck, tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"not a ZIP")

    assert check("--report", tmp_path / "report.html", bad).exit_code == 1
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "rejected"


def test_a_file_of_ones_own_is_not_written_over_and_nothing_is_checked(
    check: RunCheck, folder: Path
) -> None:
    mine = folder / "training.json"
    mine.write_text('{"steps": 1500}')

    result = check(folder, "--report", folder / "training.html")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "training.json is there already" in " ".join(result.stderr.split())
    assert mine.read_text() == '{"steps": 1500}'
    assert not (folder / "training.html").exists()


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_a_report_that_cannot_be_written_hides_no_verdict(
    check: RunCheck, phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
) -> None:
    def full(_: object) -> str:
        raise OSError("No space left on device")

    wanted = tmp_path / "report.html"
    monkeypatch.setattr("lora_drop.cli.reports.html_text", full)

    result = check(phone, "--report", wanted, *how)

    assert result.exit_code == 1
    assert "accepted" in result.stdout
    assert "No space left on device" in " ".join(result.stderr.split())


def test_what_cannot_be_done_is_told_in_a_sentence(
    check: RunCheck, phone: Path, tmp_path: Path
) -> None:
    missing = check(tmp_path / "none.zip")
    two = check("--report", tmp_path / "r.html", phone, phone)
    unwritable = check("--report", phone / "r.html", phone)

    assert "There is no file or folder" in missing.stderr
    assert "one dataset at a time" in two.stderr
    assert "Nothing was checked" in " ".join(unwritable.stderr.split())
    assert unwritable.stdout == ""
    assert {each.exit_code for each in (missing, two, unwritable)} == {1}


def test_a_phones_dataset_is_told_to_be_mended_with_every_change(
    check: RunCheck, phone: Path, tmp_path: Path
) -> None:
    check("--report", tmp_path / "report.html", phone)

    told = json.loads((tmp_path / "report.json").read_text())
    changes = {change["code"] for change in told["changes"]}
    assert told["mended"]
    assert changes == {
        *("image_converted", "image_turned", "image_metadata_removed", "image_exact_duplicate"),
        *("dataset_flattened", "dataset_junk_dropped", "caption_encoding"),
    }


def test_every_foreign_archive_gets_a_verdict_in_time_and_only_damage_is_the_archives(
    corpora: Path,
) -> None:
    for name, data in foreign_archives(corpora):
        archive = MemoryRange(data)
        found = checked(archive, pictures=PillowPictures()).report

        codes = [problem.code for problem in found.errors]
        assert "dataset_check_failed" not in codes, name
        assert any(code.startswith("archive_") for code in codes) == is_damaged(name), (name, codes)
        assert (found.verdict is Verdict.REJECTED) == bool(codes), name
        assert found.seconds < 2, name
        assert found.requests <= 40, name


def test_the_command_prints_a_line_for_every_foreign_archive(
    check: RunCheck, corpora: Path
) -> None:
    files = [corpora / "zip" / name for name, _ in foreign_archives(corpora)]

    result = check("--json", *files)

    assert [row["file"] for row in rows(result)] == [str(file) for file in files]
    assert result.exit_code == 1
