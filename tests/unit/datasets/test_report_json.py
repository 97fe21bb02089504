import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lora_drop.datasets.report import Report
from lora_drop.datasets.reports import json_text
from lora_drop.dev.schemas import report_schema
from tests.support.reports import make_photo, make_report, whole_report


@pytest.fixture
def schema(root: Path) -> Draft202012Validator:
    """As it is published."""
    published = json.loads((root / "docs/report.schema.json").read_text())
    Draft202012Validator.check_schema(published)
    return Draft202012Validator(published)


def described(schema: dict[str, Any]) -> set[str]:
    return set(schema["properties"])


def test_the_published_schema_is_that_of_the_model(root: Path) -> None:
    assert (root / "docs/report.schema.json").read_text() == report_schema()


@pytest.mark.parametrize("report", [whole_report(), make_report()], ids=["whole", "bare"])
def test_a_report_is_what_the_schema_says(schema: Draft202012Validator, report: Report) -> None:
    schema.validate(json.loads(json_text(report)))


def test_the_schema_knows_every_field_and_asks_for_it(schema: Draft202012Validator) -> None:
    written = json.loads(json_text(whole_report()))

    assert set(schema.schema["required"]) == described(schema.schema) == set(written)
    photo = schema.schema["$defs"]["ImageReport"]
    assert set(photo["required"]) == described(photo) == set(written["photos"][0])


@pytest.mark.parametrize(
    "wrong", [{"verdict": "perhaps"}, {"schema_version": 2}, {"photos": [{}]}, {"size": "big"}]
)
def test_the_schema_refuses_what_no_report_says(
    schema: Draft202012Validator, wrong: dict[str, Any]
) -> None:
    assert not schema.is_valid({**json.loads(json_text(whole_report())), **wrong})


def test_a_report_read_back_is_the_report_but_for_the_thumbnails() -> None:
    report = whole_report()
    bare = tuple(photo.model_copy(update={"thumbnail": b""}) for photo in report.photos)

    assert Report.model_validate_json(json_text(report)) == report.model_copy(
        update={"photos": bare}
    )
    assert "thumbnail" not in json_text(report)


def test_any_name_a_zip_can_hold_can_be_written() -> None:
    name = '\u202e\x00\n"\\é👩.jpg'
    written = json.loads(json_text(make_report(file=name, photos=(make_photo(name),))))

    assert (written["file"], written["photos"][0]["member"]) == (name, name)


def test_a_name_that_no_text_can_hold_can_be_written_as_well() -> None:
    assert json.loads(json_text(make_report(file="\udcff.zip")))["file"] == "?.zip"
