"""What a check has found takes a few lines, however much it is."""

import json
from pathlib import Path

import pytest

from lora_drop.cli.reports import problem_lines
from lora_drop.jobs.problems import Problem
from tests.support.client_fixtures import RunCheck
from tests.support.photos import encoded, picture


def test_one_change_is_one(check: RunCheck, folder: Path) -> None:
    (folder / "Thumbs.db").write_bytes(b"junk")
    (folder / "notes.pdf").write_bytes(b"%PDF-1.7")

    assert "(1 change: 1\N{MULTIPLICATION SIGN} other file left out)" in check(folder).stdout


def test_a_flood_is_a_line_with_a_few_names(check: RunCheck, folder: Path) -> None:
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


def test_what_differs_from_file_to_file_is_told_by_what_its_code_means(
    check: RunCheck, folder: Path
) -> None:
    for number in range(3):
        photo = encoded(picture(400 + number, 400, seed=number), "JPEG")
        (folder / f"{number}.jpg").write_bytes(photo)

    told = check(folder).stdout

    assert "3 files: A photo has few pixels. Put in a larger original" in told
    assert "(0.jpg, 1.jpg, 2.jpg) (image_low_resolution)" in told


def test_what_there_is_in_the_place_of_photos_is_problem_lines(
    check: RunCheck, tmp_path: Path
) -> None:
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


def test_links_that_are_not_followed_are_problem_lines(
    check: RunCheck, folder: Path, tmp_path: Path
) -> None:
    (folder / "out.jpg").symlink_to(tmp_path / "elsewhere.jpg")

    result = check(folder)

    assert result.exit_code == 0
    assert "1 link out of the folder not followed (out.jpg)" in result.stderr


@pytest.mark.parametrize("number", [1, 5])
def test_names_cannot_steer_the_terminal(number: int) -> None:
    names = [f"{each}\x1b[2J.mov" for each in range(number)]
    found = [Problem(code="dataset_other_file", message=name, member=name) for name in names]

    [line] = problem_lines(found, 3, all_of_them="--report shows all")

    assert "0[U+001B][2J.mov" in line
    assert line.isprintable()
