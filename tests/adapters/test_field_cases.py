"""Datasets that people have complained about in public, each with the verdict that is right for it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lora_drop.client.check import check_dataset
from lora_drop.datasets.report import Report

# One name a folder of corpora/field. The pictures' own cases are further down the tuple.
COVERED = (
    "caption-vertical-tab",
    "captions-and-masks-folders",
    "captions-cp1250",
    "captions-cp1251",
    "captions-with-another-token",
    "exiftool-original",
    "explorer-cp862",
    "explorer-cp866",
    "hf-metadata-jsonl",
    "icloud-same-name",
    "ok-caption-encodings",
    "ok-onedrive-zip64",
    "ok-upper-case",
    "parallel-trees",
    "s3-metadata-rfc2047",
    "training-json-utf16",
    "whatsapp-chat-txt",
)
# What the sentence `wanted` of a case asks for beyond its figures, as codes that have to be there.
WANTED = {
    "captions-cp1250": ["caption_encoding_guessed"],
    "captions-cp1251": ["caption_encoding_guessed"],
    "captions-with-another-token": ["caption_trigger_untrained"],
    "explorer-cp862": ["archive_name_encoding_guessed"],
    "explorer-cp866": ["archive_name_encoding_guessed"],
    "icloud-same-name": ["archive_duplicate_name"],
    "whatsapp-chat-txt": ["caption_orphan"],
}
OPTIONS = {"--trigger": "trigger_phrase"}


def report_on(case: Path, expected: dict[str, Any]) -> Report:
    """The report that `lora-drop check` makes of the case, with its options and its object's metadata."""
    options = expected["options"]
    given = {OPTIONS[name]: value for name, value in zip(options[::2], options[1::2], strict=True)}
    return check_dataset(
        case / "dataset.zip", metadata={**given, **expected.get("object_metadata", {})}
    )


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("name", COVERED)
def test_field_case(name: str, corpora: Path) -> None:
    """A dataset as people really have it gets the verdict, the images and the captions that are right for it."""
    case = corpora / "field" / name
    if not case.is_dir():
        pytest.skip(f"no case {name} in {case.parent}")
    whole = json.loads((case / "expected.json").read_text())
    expected, report = whole["expected"], report_on(case, whole)
    problems = (*report.errors, *report.warnings)
    codes = {each.code for each in problems} | {each.code for each in report.changes}

    assert expected["verdict"] in ("any", report.verdict.value), report.errors
    assert expected["images"] in (None, report.images)
    assert codes >= {*expected["codes"], *WANTED.get(name, [])}
    assert not codes & {*expected["never_codes"]}
    texts = {photo.member: photo.caption_text for photo in report.photos}
    captions = expected.get("captions", {})
    assert {member: texts.get(member) for member in captions} == captions


def test_rfc_2047_metadata_is_the_phrase(corpora: Path) -> None:
    """A trigger phrase that S3 returns as RFC 2047 is the phrase that the person wrote."""
    case = corpora / "field" / "s3-metadata-rfc2047"
    report = report_on(case, json.loads((case / "expected.json").read_text()))
    assert {each.name: each.value for each in report.parameters}["trigger_phrase"] == "Zoë"
