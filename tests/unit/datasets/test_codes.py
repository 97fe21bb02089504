import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lora_drop.datasets.images.header import Flaw
from lora_drop.datasets.images.pictures import Change
from lora_drop.datasets.problem_codes import MEANINGS, PREFIXES, Kind, rank
from lora_drop.dev.pages import dataset_errors_page

# Names of fields, which only look like codes.
NO_CODES = frozenset(
    {"dataset_versions", "image_data_url", "parameter_overrides", "parameter_sources"}
)
# The table itself, and fal's own words for what has failed there.
NOT_READ = (
    "shared/lora_drop/datasets/problem_codes.py",
    "shared/lora_drop/dev",
    "shared/lora_drop/fal/errors.py",
    "shared/lora_drop/simulator",
)
CODE = re.compile(rf"({'|'.join(PREFIXES)})_[a-z0-9_]+")


def sources(root: Path) -> Iterator[Path]:
    for folder in ("shared", "functions"):
        for file in sorted((root / folder).rglob("*.py")):
            if not file.relative_to(root).as_posix().startswith(NOT_READ):
                yield file


def codes_in(source: str) -> Iterator[str]:
    """Every literal that is a code, but for keys of tables: a key gives nobody a code."""
    tree = ast.parse(source)
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in keys:
            continue
        if isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


@cache
def codes_under(root: Path) -> frozenset[str]:
    found = {code for file in sources(root) for code in codes_in(file.read_text())}
    return frozenset(found - NO_CODES)


@pytest.fixture
def given(root: Path) -> frozenset[str]:
    return codes_under(root)


def test_every_code_that_is_given_is_in_the_table(given: frozenset[str]) -> None:
    assert given - MEANINGS.keys() == set()


def test_every_code_in_the_table_is_given(given: frozenset[str]) -> None:
    assert MEANINGS.keys() - given == set()


def test_a_code_is_found_wherever_it_stands_but_as_a_key() -> None:
    source = 'X = "image_a"\ndef f(): return {"image_b": g("image_c", code="caption_d")}, "image"'

    assert set(codes_in(source)) == {"image_a", "image_c", "caption_d"}


def test_every_code_of_the_archives_the_flaws_and_the_changes_is_in_the_table() -> None:
    assert MEANINGS.keys() >= {*Flaw, *Change}


def test_what_is_changed_is_a_change_and_a_flaw_refuses() -> None:
    assert {MEANINGS[change].kind for change in Change} == {Kind.CHANGES}
    assert {MEANINGS[flaw].kind for flaw in Flaw} == {Kind.REFUSES}


@pytest.mark.parametrize("code", MEANINGS)
def test_a_code_is_told_in_whole_sentences_that_say_what_to_do(code: str) -> None:
    meaning = MEANINGS[code]

    assert CODE.fullmatch(code)
    for sentence in (meaning.means, meaning.do):
        assert re.fullmatch(r"\S.*\S[.}]\.?", sentence)
        assert "\n" not in sentence


def test_a_damaged_zip_comes_before_everything_in_it() -> None:
    codes = ["parameter_unknown", "mystery", "image_empty", "archive_damaged", "dataset_link"]

    assert sorted(codes, key=rank) == [
        *("archive_damaged", "dataset_link", "image_empty", "parameter_unknown", "mystery")
    ]


def test_the_page_lists_every_code_once() -> None:
    listed = re.findall(r"^\| `([a-z0-9_]+)` \|", dataset_errors_page(), re.MULTILINE)

    assert sorted(listed) == sorted(MEANINGS)
