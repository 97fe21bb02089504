"""A result file is judged by its first bytes, in whatever pieces and whenever they come."""

import json

import pytest

from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import ResultInvalidError
from lora_drop.results.validation import MAX_JSON, Check, check_for
from tests.support.builders import make_weights

WEIGHTS = make_weights(1000)
HEADER = 8 + int.from_bytes(WEIGHTS[:8], "little")
PIECES = [1, 3, 7, 8, 9, HEADER - 1, HEADER, HEADER + 1, len(WEIGHTS)]


def check(name: str, size: int | None, content_type: str | None = None) -> Check:
    return check_for(Artifact(name=name, url="u", content_type=content_type), size)


def judged(check: Check, data: bytes, piece: int | None = None) -> None:
    """Everything is fed and the end told, as the copier does it."""
    step = piece or max(len(data), 1)
    for start in range(0, max(len(data), 1), step):
        check.feed(data[start : start + step])
    check.finish(len(data))


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
def test_sound_weights_pass_in_pieces_of_any_size(
    piece: int,
    sized: bool,  # noqa: FBT001  # a table's column
) -> None:
    judged(check("lora.safetensors", len(WEIGHTS) if sized else None), WEIGHTS, piece)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (WEIGHTS[:-1], "weights_tensors_cut"),
        (WEIGHTS + b"x", "weights_trailing_bytes"),
        (WEIGHTS[: HEADER - 1], "weights_header_cut"),
        (WEIGHTS[:7], "weights_too_short"),
        (b"", "weights_too_short"),
        (b"<html>not found</html>" * 50, "weights_other_file"),
        (b"PK\x03\x04" + bytes(2000), "weights_header_too_small"),
        (json.dumps({"detail": "x" * 2000}).encode(), "weights_other_file"),
    ],
    ids=["cut", "longer", "header cut", "7 bytes", "empty", "html", "zip", "json"],
)
def test_what_is_no_sound_weights_is_told_by_its_flaw(
    data: bytes,
    flaw: str,
    sized: bool,  # noqa: FBT001  # a table's column
    piece: int,
) -> None:
    with pytest.raises(ResultInvalidError) as refused:
        judged(check("LORA.SafeTensors", len(data) if sized else None), data, piece)

    assert str(refused.value)
    assert refused.value.flaw in (flaw, "weights_other_file", "weights_header_too_large")


def test_weights_of_a_known_size_are_judged_as_soon_as_their_header_is_there() -> None:
    judge = check("lora.safetensors", len(WEIGHTS) + 1)
    judge.feed(WEIGHTS[: HEADER - 1])

    assert judge.missing == 1
    with pytest.raises(ResultInvalidError):
        judge.feed(WEIGHTS[HEADER - 1 : HEADER])


def test_nothing_more_is_missing_once_a_file_is_judged() -> None:
    judge = check("lora.safetensors", len(WEIGHTS))
    before = judge.missing
    judge.feed(WEIGHTS[:HEADER])

    assert (before, judge.missing) == (8, 0)
    judge.feed(b"whatever comes then")
    judge.finish(len(WEIGHTS))


def test_a_length_that_is_absurd_is_told_before_the_header_is_waited_for() -> None:
    judge = check("lora.safetensors", None)

    with pytest.raises(ResultInvalidError):
        judge.feed(b"\xff" * 9)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("config.json", None),
        ("CONFIG.JSON", "text/plain"),
        ("config", "application/json"),
        ("config", "application/json; charset=utf-8"),
        ("config", "application/ld+json"),
        ("config", "TEXT/JSON"),
    ],
)
def test_a_configuration_is_known_by_its_name_or_its_kind(name: str, kind: str | None) -> None:
    with pytest.raises(ResultInvalidError) as refused:
        judged(check(name, 8, kind), b"not JSON")

    assert refused.value.flaw == "json_unreadable"


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"null",
        b'  {"rank": 16}\n',
        b'\xef\xbb\xbf{"rank": 16}',
        b'{"seed": 17454220438242315174}',
        b"9" * 5000,
        b"[NaN, Infinity]",
        b'"' + b"x" * (MAX_JSON - 2) + b'"',
    ],
    ids=["object", "null", "spaces", "bom", "large number", "5000 digits", "NaN", "1 MiB"],
)
def test_any_json_of_a_megabyte_at_most_is_a_configuration(
    data: bytes,
    sized: bool,  # noqa: FBT001  # a table's column
) -> None:
    judged(check("config.json", len(data) if sized else None), data, 1000)


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "unsized"])
@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", "json_unreadable"),
        (b"{", "json_unreadable"),
        (b"<html></html>", "json_unreadable"),
        (b"\xff\xfe\xfd", "json_unreadable"),
        (b"[" * 100_000, "json_unreadable"),
        (b'"' + b"x" * (MAX_JSON - 1) + b'"', "json_too_large"),
        (b'"' + b"x" * (2 * MAX_JSON) + b'"', "json_too_large"),
    ],
    ids=["empty", "cut", "html", "no text", "deep", "1 MiB + 1", "2 MiB"],
)
def test_what_is_no_configuration_is_told_by_its_flaw(
    data: bytes,
    flaw: str,
    sized: bool,  # noqa: FBT001  # a table's column
) -> None:
    with pytest.raises(ResultInvalidError) as refused:
        judged(check("config.json", len(data) if sized else None), data, 100_000)

    assert refused.value.flaw == flaw


@pytest.mark.parametrize("data", [b"", b"anything"])
@pytest.mark.parametrize("name", ["samples.zip", "lora.safetensors.invalid", "config.json.txt"])
def test_any_other_file_is_taken_as_it_is(name: str, data: bytes) -> None:
    other = check(name, len(data), "application/octet-stream")

    assert other.missing == 0
    judged(other, data)
