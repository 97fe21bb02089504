"""Captions are read in whatever encoding they are, and what could be better about them is told."""

import pytest

from tests.support.builders import make_archive
from tests.support.checking import checked, errors, warnings


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Zoë im Grünen".encode("cp1252"), "Zoë im Grünen"),
        ("\ufeffZoë".encode(), "Zoë"),
        ("Zoë".encode("utf-16"), "Zoë"),
    ],
)
def test_a_caption_in_another_encoding_becomes_utf_8(data: bytes, text: str) -> None:
    found = checked(make_archive(members={"photo-00.txt": data}))

    assert found.good is not None
    assert found.good.plan[0].caption == text
    assert [each.code for each in found.report.changes] == ["caption_encoding"]


def test_captions_are_looked_after() -> None:
    members = {"nobody.txt": b"x", "photo-00.txt": b"a", "photo-01.txt": b" "}

    assert warnings(make_archive(members=members)) == [
        "caption_orphan",
        "caption_empty",
        "caption_absent",
    ]
    assert errors(make_archive(members={"photo-00.txt": b"x" * 20_000})) == ["caption_too_long"]


def test_a_trigger_in_a_caption_needs_a_trigger_phrase() -> None:
    archive = make_archive(members={f"photo-{n:02}.txt": b"[trigger]" for n in range(12)})

    assert warnings(archive) == []
    assert warnings(archive, application="fal-ai/z-image-trainer") == ["caption_trigger_unset"]
