"""The clean copy on this machine: it is what fal gets, it costs no file, and each change in it is said."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lora_drop.client.direct_dataset import prepared_dataset
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.local.stack import HOME
from tests.support.client_fixtures import Run, invoke, photo


def names(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.promise("it can be operated")
def test_copy_is_what_fal_gets(check: Run, phone: Path, tmp_path: Path) -> None:
    """The copy that `check --fix` writes is byte for byte the ZIP that fal is trained on, and needs no mending."""
    packed, folder = tmp_path / "new" / "clean.zip", tmp_path / "clean"
    result = check(phone, "--fix", packed)
    assert result.exit_code == 0
    with prepared_dataset(phone, application=DEFAULT.application, metadata={}) as ready:
        assert packed.read_bytes() == ready.file.read_bytes()
        for change in ready.report.changes:
            assert change.code in result.stderr
            assert change.member in result.stderr
    found = json.loads(check(phone, "--fix", folder, "--json").stdout)
    assert (found["mended"], found["clean_copy"]) == (True, str(folder))
    with zipfile.ZipFile(packed) as archive:
        assert names(folder) == {name: archive.read(name) for name in sorted(archive.namelist())}
    again = check(folder, "--fix", tmp_path / "none")
    assert (again.exit_code, (tmp_path / "none").exists()) == (0, False)
    assert "Nothing has to be mended, so no copy was written" in again.stderr
    assert (
        json.loads(check(folder, "--fix", tmp_path / "none", "--json").stdout)["clean_copy"] is None
    )
    assert {path.name for path in tmp_path.iterdir()} == {"phone.zip", "new", "clean"}


@pytest.mark.promise("never lose a result")
def test_copy_costs_no_file(check: Run, folder: Path, tmp_path: Path) -> None:
    """A copy replaces an earlier one only where that was said, and never any other file."""
    album, folder, packed = folder, tmp_path / "clean", tmp_path / "clean.zip"
    (album / "0.jpg").rename(album / "0.JPG")
    assert {check(album, "--fix", each).exit_code for each in (folder, packed)} == {0}
    (folder / "0.jpg").write_text("mine")
    packed.write_bytes(b"mine")
    for each in (folder, packed):
        refused = check(album, "--fix", each)
        assert (refused.exit_code, "--yes" in refused.stderr) == (1, True)
    assert ((folder / "0.jpg").read_text(), packed.read_bytes()) == ("mine", b"mine")
    assert {check(album, "--fix", each, "--yes").exit_code for each in (folder, packed)} == {0}
    assert (folder / "0.jpg").read_bytes() != b"mine"
    (folder / "other.jpg").write_bytes(b"mine")
    before = names(folder)
    refused = check(album, "--fix", folder, "--yes")
    assert (refused.exit_code, "other.jpg" in refused.stderr, names(folder)) == (1, True, before)


@pytest.mark.parametrize(
    "where", [".", "album", "album/clean", "album/clean.zip", "phone.zip/x", "folder.zip"]
)
def test_copy_never_hits_the_dataset(
    check: Run, folder: Path, phone: Path, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder.zip").mkdir()
    before = names(tmp_path)
    source = phone if "phone" in where else folder
    refused = check(source, "--fix", tmp_path / where, "--yes")
    assert (refused.exit_code, refused.stdout, names(tmp_path)) == (1, "", before)
    assert "Nothing was checked" in refused.stderr


def test_rejected_dataset_has_no_copy(check: Run, folder: Path, tmp_path: Path) -> None:
    for number in range(5):
        (folder / f"{number}.jpg").unlink()
    result = check(folder, "--fix", tmp_path / "clean")
    assert (result.exit_code, (tmp_path / "clean").exists()) == (1, False)
    assert "No copy was written" in result.stderr


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_a_person_is_asked(
    phone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    (tmp_path / "clean.zip").write_bytes(b"mine")
    stdin = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr("lora_drop.cli.fix.sys", SimpleNamespace(stdin=stdin))
    result = invoke("check", phone, "--fix", tmp_path / "clean.zip", answer=answer)
    assert result.exit_code == code
    assert ((tmp_path / "clean.zip").read_bytes() == b"mine") is bool(code)
    assert "Replace 1 file" in result.stderr


def test_parameters_of_the_file_are_no_part_of_it(check: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "training.json").write_text('{"steps": 1500}')
    (folder / "12.png").write_bytes(photo(600, 12))  # its name says another format
    assert "give what it says as options" in check(folder, "--fix", tmp_path / "clean").stderr


def test_next_command_has_the_options(
    check: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that comes next has the options that were given, and --direct for a person with a key alone."""
    monkeypatch.setenv(HOME, str(tmp_path / "no-stack"))
    (folder / "12.png").write_bytes(photo(600, 12))
    given = (
        "--trigger",
        "ada li",
        "--steps",
        "1500",
        "--no-subject-crop",
        "--set",
        "create_masks=true",
    )
    words = "--trigger 'ada li' --steps 1500 --no-subject-crop --set create_masks=true"
    for key, direct in (("", ""), ("an:key", " --direct")):
        monkeypatch.setenv("FAL_KEY", key)
        said = check(folder, *given, "--fix", tmp_path / "clean", "--yes").stderr
        assert f"lora-drop train {tmp_path / 'clean'} {words}{direct}\n" in said
