"""Every code that a person may meet is explained, and one that is mistyped is recognised."""

import json
import re
from pathlib import Path

import pytest

from lora_drop.adapters.fal_storage import REFUSED
from lora_drop.adapters.fal_transport import REFUSALS
from lora_drop.cli.explanations import EXITS, JOBS, PROOFS, explained, explanations
from lora_drop.datasets.problem_codes import MEANINGS
from lora_drop.fal.errors import FAL_ERRORS
from lora_drop.jobs import job_problems
from tests.support.client_fixtures import invoke

GIVEN = re.compile(
    r'\bcode="([a-z_0-9]+)"|^[A-Z_]+ = "((?:result|fal|submit|budget|earlier)_[a-z_]+)"',
    re.MULTILINE,
)
NO_PROBLEMS = {"fal_client_cancelled", "fal_file_download_error"}  # fal's own, which are compared


def codes_given(root: Path) -> set[str]:
    """Every code that stands in the program as a problem's."""
    folders = ("adapters", "datasets", "fal", "jobs", "results", "services")
    files = [file for each in folders for file in (root / "shared/lora_drop" / each).rglob("*.py")]
    return {one or other for file in files for one, other in GIVEN.findall(file.read_text())}


@pytest.mark.promise("it can be operated")
def test_every_code_is_explained(root: Path) -> None:
    """Every code that a report, a job or fal may show is explained: what it means, why, what to do."""
    refusals = {code for code, *_ in REFUSALS.values()} | {REFUSED[0]}
    constants = {
        value
        for value in vars(job_problems).values()
        if isinstance(value, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", value)
    }
    wanted = {
        *MEANINGS,
        *(f"fal_{kind}" for kind in FAL_ERRORS),
        *refusals,
        *codes_given(root),
        *constants,
    }
    assert wanted - set(explanations()) == set()
    assert wanted | set(EXITS) | set(PROOFS) >= set(explanations())
    for each in explanations().values():
        assert all(
            (len(words) > 7 and words[-1] in ".)B23") or "lora-drop" in words
            for words in (each.means, each.why, each.do)
        ), each


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("likeness", "likeness"),
        ("proof", "proof"),
        ("image_too_small", "image_too_small"),
        ("Image-Too-Small", "image_too_small"),
        ("[image too small]", "image_too_small"),
        ("invalid_archive", "fal_invalid_archive"),
        ("fal_value_error.missing", "fal_value_error.missing"),
        ("1", "1"),
        ("fal_something_new", None),
    ],
)
def test_code_is_taken_as_it_is_written(asked: str, code: str | None) -> None:
    found = explained(asked)
    assert (found and found.code) == code


def test_command_explains() -> None:
    shown = invoke("explain", "submit_unknown")
    assert (shown.exit_code, JOBS["submit_unknown"][0] in shown.stdout) == (0, True)
    wrong = invoke("explain", "imagetoosmall")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "Did you mean image_too_small" in wrong.stderr
    rows = [json.loads(line) for line in invoke("explain", "--json").stdout.splitlines()]
    assert {row["code"] for row in rows} == set(explanations())
    listed = invoke("explain").stdout
    assert all(code in listed for code in explanations())
