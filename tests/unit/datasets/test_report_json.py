"""Each problem code has its meaning, and the JSON report is what its published schema says."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lora_drop.datasets.images.header import Flaw
from lora_drop.datasets.images.pictures import Change
from lora_drop.datasets.problem_codes import MEANINGS, PREFIXES, Kind, rank
from lora_drop.datasets.report import Report
from lora_drop.datasets.reports import json_text
from lora_drop.dev.pages import dataset_errors_page
from lora_drop.dev.schemas import report_schema
from tests.support.reports import make_photo, make_report, whole_report

# Names of fields, which only look like codes.
NO_CODES = frozenset(
    {
        *("dataset_versions", "image_data_url", "parameter_overrides", "parameter_sources"),
        *("dataset_rejected", "dataset_unknown"),  # answers of the API
    }
)
# The table itself, and fal's own words for what has failed there.
NOT_READ = (
    *("shared/lora_drop/datasets/problem_codes.py", "shared/lora_drop/dev"),
    *("shared/lora_drop/fal/errors.py", "shared/lora_drop/simulator"),
)
CODE = re.compile(rf"({'|'.join(PREFIXES)})_[a-z0-9_]+")


def sources(root: Path) -> Iterator[Path]:
    for folder in ("shared", "functions"):
        for file in sorted((root / folder).rglob("*.py")):
            if not file.relative_to(root).as_posix().startswith(NOT_READ):
                yield file


def codes_in(source: str) -> Iterator[str]:
    """Every literal that is a code, but for keys of tables: a key gives no code."""
    tree = ast.parse(source)
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in keys:
            continue
        if isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


@pytest.mark.promise("interfaces stay")
def test_codes_and_table_are_the_same(root: Path) -> None:
    """Each code that the product gives is in the table of problem codes, and no other."""
    found = {code for file in sources(root) for code in codes_in(file.read_text())}
    assert found - NO_CODES == MEANINGS.keys()


def test_a_code_is_found_in_source() -> None:
    source = 'X = "image_a"\ndef f(): return {"image_b": g("image_c", code="caption_d")}, "image"'
    assert set(codes_in(source)) == {"image_a", "image_c", "caption_d"}


def test_flaws_and_changes_have_codes() -> None:
    assert MEANINGS.keys() >= {*Flaw, *Change}
    assert {MEANINGS[change].kind for change in Change} == {Kind.CHANGES}
    assert {MEANINGS[flaw].kind for flaw in Flaw} == {Kind.REFUSES}


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("code", MEANINGS)
def test_a_code_says_what_to_do(code: str) -> None:
    """Each problem code says in whole sentences what it means and what to do."""
    meaning = MEANINGS[code]
    assert CODE.fullmatch(code)
    for sentence in (meaning.means, meaning.do):
        assert re.fullmatch(r"\S.*\S[.}]\.?", sentence)
        assert "\n" not in sentence


def test_a_damaged_zip_comes_first() -> None:
    codes = ["parameter_unknown", "mystery", "image_empty", "archive_damaged", "dataset_link"]
    assert sorted(codes, key=rank) == [
        *("archive_damaged", "dataset_link", "image_empty", "parameter_unknown", "mystery")
    ]


def test_the_page_lists_every_code_once() -> None:
    listed = re.findall(r"^\| `([a-z0-9_]+)` \|", dataset_errors_page(), re.MULTILINE)
    assert sorted(listed) == sorted(MEANINGS)


@pytest.fixture
def schema(root: Path) -> Draft202012Validator:
    """As it is published."""
    published = json.loads((root / "docs/report.schema.json").read_text())
    Draft202012Validator.check_schema(published)
    return Draft202012Validator(published)


def described(schema: dict[str, Any]) -> set[str]:
    return set(schema["properties"])


@pytest.mark.promise("interfaces stay")
def test_the_published_schema_is_current(root: Path) -> None:
    """The published schema of the report is that of the model."""
    assert (root / "docs/report.schema.json").read_text() == report_schema()


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("report", [whole_report(), make_report()], ids=["whole", "bare"])
def test_a_report_fits_its_schema(schema: Draft202012Validator, report: Report) -> None:
    """A report is what the published schema says."""
    schema.validate(json.loads(json_text(report)))


def test_the_schema_requires_every_field(schema: Draft202012Validator) -> None:
    written = json.loads(json_text(whole_report()))
    assert set(schema.schema["required"]) == described(schema.schema) == set(written)
    photo = schema.schema["$defs"]["ImageReport"]
    assert set(photo["required"]) == described(photo) == set(written["photos"][0])


@pytest.mark.parametrize(
    "wrong", [{"verdict": "perhaps"}, {"schema_version": 2}, {"photos": [{}]}, {"size": "big"}]
)
def test_the_schema_refuses_other_reports(
    schema: Draft202012Validator, wrong: dict[str, Any]
) -> None:
    assert not schema.is_valid({**json.loads(json_text(whole_report())), **wrong})


def test_a_report_can_be_read_back() -> None:
    report = whole_report()
    bare = tuple(photo.model_copy(update={"thumbnail": b""}) for photo in report.photos)
    assert Report.model_validate_json(json_text(report)) == report.model_copy(
        update={"photos": bare}
    )
    assert "thumbnail" not in json_text(report)


def test_any_name_can_be_written() -> None:
    name = '\u202e\x00\n"\\é👩.jpg'
    written = json.loads(json_text(make_report(file=name, photos=(make_photo(name),))))
    assert (written["file"], written["photos"][0]["member"]) == (name, name)
    assert json.loads(json_text(make_report(file="\udcff.zip")))["file"] == "?.zip"
