"""`--output`: JSON when it is asked for, in one form each."""

import json
from typing import Any

import pytest

from lora_drop.cli.terminal import EXIT_CODES
from tests.support.client_fixtures import Api, Run, error_answer, invoke, job_answer


@pytest.fixture
def listed(api: Api) -> Api:
    """An API that lists one job."""
    job = json.loads(job_answer().content)
    api.answers.append(type(job_answer())(200, json={"jobs": [job], "next": None}))
    return api


FORMS: dict[str, Any] = {
    "json": lambda said: [each["job_id"] for each in json.loads(said)],
    "jsonl": lambda said: [json.loads(line)["job_id"] for line in said.splitlines()],
    "table": lambda said: ["ada-486fb2366b"] if "ada-486fb2366b" in said else [],
}


@pytest.mark.promise("interfaces stay")
@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("form", FORMS)
def test_list_has_three_forms(run: Run, form: str) -> None:
    """A list is text, one JSON array or an object a line, as `--output` says, and text where nothing is said."""
    said = run("jobs", "--output", form).stdout
    assert FORMS[form](said) == ["ada-486fb2366b"]
    assert said.startswith("[") == (form == "json")


def test_one_job_is_one_object(run: Run, api: Api) -> None:
    api.answers.append(job_answer())
    assert json.loads(run("job", "x", "--output=json").stdout)["job_id"] == "ada-486fb2366b"


@pytest.mark.parametrize("command", ["job", "jobs"])
def test_error_is_one_object(run: Run, api: Api, command: str) -> None:
    api.answers.append(error_answer(500, "internal", "It broke."))
    words = [command, *(["x"] if command == "job" else []), "--output", "json"]
    failed = run(*words)
    assert (failed.exit_code, json.loads(failed.stdout)) == (1, {"error": {"message": "It broke."}})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["jobs", "--output", "yaml"], 2),
        (["jobs", "--json", "--output", "table"], 2),
        (["watch", "x", "--output", "json", "--progress"], 1),
        (["jobs", "--lmit", "1", "--output", "json"], 2),
    ],
)
def test_wrong_forms_are_refused(words: list[str], code: int) -> None:
    result = invoke(*words)
    assert result.exit_code == code
    assert result.exit_code in EXIT_CODES
