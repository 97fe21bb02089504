"""A report never costs anybody a file, and is told of where it lies."""

import json
import os
from pathlib import Path

import pytest

from lora_drop.cli.reports import report_files
from lora_drop.client.errors import CommandError
from lora_drop.datasets.report import Report, Verdict

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
def test_a_report_lies_where_it_is_wanted(
    tmp_path: Path, where: str, names: tuple[str, str]
) -> None:
    (tmp_path / "there").mkdir()

    files = report_files(f"{tmp_path}/{where}")
    files.write(REPORT)

    assert (files.page, files.data) == (tmp_path / names[0], tmp_path / names[1])
    assert files.page.read_text().startswith("<!doctype html>")
    assert json.loads(files.data.read_text())["file"] == "ada.zip"


def test_an_earlier_report_is_written_over(tmp_path: Path) -> None:
    report_files(f"{tmp_path}/").write(REPORT)

    report_files(f"{tmp_path}/").write(REPORT.model_copy(update={"file": "eve.zip"}))

    assert "eve.zip" in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["file"] == "eve.zip"


def test_a_report_of_an_older_version_is_known_again(tmp_path: Path) -> None:
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
def test_what_is_no_report_is_never_written_over(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(CommandError, match=rf"{name} is there already.*--report"):
        report_files(f"{tmp_path}/training")

    assert (tmp_path / name).read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ada.json").mkdir()

    with pytest.raises(CommandError, match=r"ada\.json is there already"):
        report_files(f"{tmp_path}/ada.html")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")

    with pytest.raises(CommandError, match="Nothing was checked"):
        report_files(f"{tmp_path}/file/report.html")


def test_a_report_that_cannot_be_written_after_all_is_told(tmp_path: Path) -> None:
    files = report_files(f"{tmp_path}/rep/")
    os.rmdir(tmp_path / "rep")  # noqa: PTH106

    with pytest.raises(CommandError, match="cannot be written"):
        files.write(REPORT)
