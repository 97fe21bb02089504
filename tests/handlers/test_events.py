import json
from pathlib import Path

import pytest

from lora_drop.dev.events import HERE, files


@pytest.mark.parametrize(
    ("file", "text"), [pytest.param(file, text, id=file.name) for file, text in files().items()]
)
def test_a_committed_event_is_what_the_script_makes(file: Path, text: str) -> None:
    assert file.read_text() == text


def test_every_event_is_made_by_the_script_and_told_of_in_the_readme() -> None:
    names = {file.name for file in HERE.glob("*.json")}
    told = (HERE / "README.md").read_text()

    assert names == {file.name for file in files()}
    assert [name for name in sorted(names) if f"`{name}`" not in told] == []


def test_a_rest_apis_event_says_every_header_and_parameter_in_both_ways() -> None:
    for text in files().values():
        event = json.loads(text)
        for one, several in (
            ("headers", "multiValueHeaders"),
            ("queryStringParameters", "multiValueQueryStringParameters"),
        ):
            if event.get(one):
                assert {name: [value] for name, value in event[one].items()} == event[several]
