"""``lora-drop history`` and ``lora-drop compare``, as a person and as a program read them."""

import json
import webbrowser
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from lora_drop.cli.lineage_tables import history_lines
from lora_drop.client.comparison_rows import OTHER_CONTENT
from lora_drop.client.differences import JobSummary
from lora_drop.client.stack import Stack
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import Run
from tests.support.lineage import Served, proof, report_of, version
from tests.support.photos import encoded, picture
from tests.support.reports import make_photo, make_report

FIRST, SECOND = version(1).job_id, version(2).job_id


@pytest.fixture
def api(stack: Stack) -> Served:
    """The stack's API, which has two jobs of one dataset."""
    served = Served(stack)
    served.add(version(1), report_of("a", "b"), proof=proof(0.72, 0.84))
    served.add(version(2), report_of("b", "c", "d"))
    return served


@pytest.mark.promise("it can be operated", "A dataset's LoRAs are listed with what differs.")
def test_history_says_what_changed(run: Run) -> None:
    result = run("history", "ada")
    heads, newest, changed, oldest, dataset = result.stdout.splitlines()
    assert result.exit_code == 0
    assert heads.split() == [
        *("job", "when", "status", "trainer", "steps", "photos", "cost", "likeness")
    ]
    assert newest.startswith(f"{SECOND}  ")
    assert newest.split()[-4:] == ["flux-lora-portrait-trainer", "2,000", "12", "$3.60"]
    assert changed == "  steps 1,000 → 2,000, 2 photos added, 1 photo removed"
    assert oldest.split()[-4:] == ["$3.60", "0.72", "of", "0.84"]
    assert (
        dataset
        == "These are the jobs of portrait/ada.zip. A dataset in another folder: name its key."
    )
    assert run("history", "portrait/ada").stdout.splitlines()[-1] == oldest


def test_pictures_are_in_the_cost(run: Run, api: Served) -> None:
    """The pictures of a proof sheet are said beside what the training cost, and are a number for programs."""
    sheet = {**proof(0.72, 0.84), "pictures": ["a-1", "a-2", "a-3", "a-4"], "paid_usd": 0.14}
    api.add(version(1), report_of("a", "b"), proof=sheet)
    assert run("history", "ada").stdout.splitlines()[-2] == "  and $0.14 for the proof sheet"
    rows = [json.loads(line) for line in run("history", "ada", "--json").stdout.splitlines()]
    assert [row["proof_usd"] for row in rows] == [None, pytest.approx(0.14)]
    [cost] = [line for line in run("compare", FIRST, SECOND).stdout.splitlines() if " cost" in line]
    assert " ".join(cost.split()) == "* cost $3.60 and $0.14 for the proof sheet $3.60"


def test_history_is_json_lines(run: Run) -> None:
    rows = [json.loads(line) for line in run("history", "ada", "--json").stdout.splitlines()]
    assert [row["job_id"] for row in rows] == [SECOND, FIRST]
    assert rows[0]["changes"] == {
        "parameters": {"steps": {"before": 1000, "after": 2000}},
        "photos": {"added": ["c.jpg", "d.jpg"], "removed": ["a.jpg"], "captions": []},
        "other_content": False,
    }
    assert (rows[1]["changes"], rows[1]["likeness"]) == (None, 0.72)
    assert (rows[0]["status"], rows[0]["paid_usd"], rows[0]["ranks"]) == ("SUCCEEDED", 3.6, [16])
    assert len(json.loads(run("history", "ada", "--output", "json").stdout)) == 2


def test_job_shows_its_lineage(run: Run, api: Served) -> None:
    api.add(version(3, earlier=(SECOND, FIRST)))
    lines = run("job", version(3).job_id).stdout.splitlines()
    assert "LoRA      rank 16, 988 tensors, BF16" in lines
    assert f"earlier   {SECOND}, {FIRST}" in lines
    api.add(version(3, lora=None))
    assert "LoRA   " not in run("job", version(3).job_id).stdout


def test_history_is_limited(run: Run) -> None:
    assert run("history", "ada", "--limit", "1").stdout.count("SUCCEEDED") == 1
    assert run("history", "ada", "--limit", "0").exit_code == 2


@pytest.mark.parametrize("words", [["history", "bob"], ["history", "/"], ["compare", "x", "x"]])
def test_failure_is_one_sentence(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "lora-drop jobs" in result.stderr
    said = json.loads(run(*words, "--json").stdout)
    assert set(said) == {"error"}


@pytest.mark.parametrize("width", [200, 100, 60, 20])
def test_history_fits_the_terminal(width: int) -> None:
    jobs = [JobSummary.of({**public(version(number)), "location": ""}) for number in (1, 2)]
    lines = [line.plain for line in history_lines(jobs, width)]
    assert all(line.startswith(("job", FIRST, SECOND)) for line in lines)
    assert all("SUCCEEDED" in line for line in lines[1:])
    least = len(f"{FIRST}  SUCCEEDED")
    assert max(map(len, lines)) <= max(width, least)


def test_compare_marks_what_differs(run: Run) -> None:
    result = run("compare", FIRST, SECOND)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].split() == [FIRST, SECOND]
    marked = {line.split()[1] for line in lines if line.startswith("*")}
    assert marked == {"ordered", "likeness", "steps"}
    assert lines[-3:] == [
        f"The photos of {SECOND} against those of {FIRST}: 2 photos added, 1 photo removed.",
        "  added: c.jpg, d.jpg",
        "  removed: a.jpg",
    ]


def test_both_say_when_in_utc(run: Run) -> None:
    said = f"{version(2).created_at:%Y-%m-%d %H:%M} UTC"
    assert said in run("history", "ada").stdout
    assert said in run("compare", FIRST, SECOND).stdout


def test_compare_names_changed_captions(run: Run, api: Served) -> None:
    photos = [make_photo(f"{each}.jpg", sha256=each) for each in "ab"]
    changed = photos[0].model_copy(update={"caption_text": "ada in a hat"})
    api.add(version(1), make_report(photos=tuple(photos)))
    api.add(version(2), make_report(photos=(changed, photos[1])))
    lines = run("compare", FIRST, SECOND).stdout.splitlines()
    assert lines[-2].endswith(": 1 caption changed.")
    assert lines[-1] == "  caption changed: a.jpg"


def test_compare_says_other_content(run: Run, api: Served) -> None:
    for number in (1, 2):
        api.add(
            version(number, content_digest=str(number), parameters=TrainingParameters(steps=1)),
            report_of("a"),
        )
    shown = run("compare", FIRST, SECOND).stdout
    assert shown.splitlines()[-1] == OTHER_CONTENT
    assert "content" not in shown


def test_compare_names_five_photos(run: Run, api: Served) -> None:
    api.add(version(2), report_of("b", *"cdefgh"))
    lines = run("compare", FIRST, SECOND).stdout.splitlines()
    assert lines[-2] == "  added: c.jpg, d.jpg, e.jpg, f.jpg, g.jpg and 1 more"


def test_better_likeness_is_readable(api: Served, run: Run) -> None:
    api.add(version(1), report_of("a", "b"), proof=proof(0.91, 0.87))
    assert run("history", "ada").stdout.splitlines()[-2].endswith("0.91 (photos 0.87)")
    assert "0.91 (photos 0.87)" in run("compare", FIRST, SECOND).stdout


def test_compare_says_unknown_photos(run: Run, api: Served) -> None:
    api.add(version(3))
    said = run("compare", FIRST, version(3).job_id).stdout.splitlines()[-1]
    assert said.startswith("Which photos differ is not known")


def test_compare_is_one_object(run: Run) -> None:
    found = json.loads(run("compare", FIRST, SECOND, "--json").stdout)
    assert (found["a"]["job_id"], found["b"]["steps"], found["page"]) == (FIRST, 2000, None)
    assert found["pictures"] == []


def test_compare_writes_a_page(run: Run, api: Served, tmp_path: Path) -> None:
    api.put(version(1), "proof/1/picture.jpg", encoded(picture(), "JPEG"))
    page = tmp_path / "both.html"
    result = run("compare", FIRST, SECOND, "--page", page)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, str(page))
    assert "data:image/jpeg" in page.read_text()
    again = json.loads(run("compare", FIRST, SECOND, "--json", "--page", page).stdout)
    assert again["page"] == str(page)
    assert again["pictures"][0]["number"] == 1


def test_page_replaces_no_other_file(run: Run, tmp_path: Path) -> None:
    """An earlier page is replaced, and no other file."""
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html>\n<html>my own</html>")
    result = run("compare", FIRST, SECOND, "--page", mine)
    assert (result.exit_code, "is there already" in result.stderr) == (1, True)
    assert "my own" in mine.read_text()
    for _ in range(2):
        assert run("compare", FIRST, SECOND, "--page", tmp_path / "ours.html").exit_code == 0


def test_unwritable_page_is_said(run: Run, tmp_path: Path) -> None:
    result = run("compare", FIRST, SECOND, "--page", tmp_path / "none" / "both.html")
    assert (result.exit_code, "The page cannot be written" in result.stderr) == (1, True)


def test_page_is_opened(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    browser = MagicMock(return_value=True)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", browser)
    assert run("compare", FIRST, SECOND, "--open").exit_code == 0
    [address] = browser.call_args.args
    assert address.startswith("file://")
    assert Path(address.removeprefix("file://")).read_text().startswith("<!doctype html>")


def test_job_without_lora_is_said(run: Run, api: Served) -> None:
    failed = version(3).model_copy(update={"status": Status.FAILED, "files": ()})
    api.add(failed)
    result = run("compare", FIRST, failed.job_id)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is FAILED and has no LoRA to compare" in result.stderr
