"""Spoilt archives, a bounded run of them; and that the run would see what it looks for."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from lora_drop.datasets.archives import contents, headers, structure_of
from tests.support.fuzz import archives
from tests.support.fuzz.archives import Tally, bases, judged, run
from tests.support.fuzz.oracles import python_objection, walk, walk_objection
from tests.support.memory_files import MemoryRange
from tests.support.zips import Part, assembled, photos, streamed

pytestmark = pytest.mark.filterwarnings("ignore:Empty unicode path", "ignore:Duplicate name")
GOOD = assembled([streamed(Part(name=b"a.jpg")), Part(name=b"b.jpg", method=0), *photos(2)])


def spoilt(corpora: Path | None) -> Tally:
    """A part of what ``python -m tests.support.fuzz.archives`` does."""
    return run(range(2000), 20, bases(corpora))


def test_no_spoilt_foreign_archive_crashes_or_is_seen_in_two_ways(corpora: Path) -> None:
    tally = spoilt(corpora)

    assert tally.failures == []
    assert sum(row.accepted for row in tally.rows.values()) > 100
    assert len(tally.codes) > 20


def test_no_spoilt_archive_of_ours_crashes_or_is_seen_in_two_ways() -> None:
    tally = spoilt(None)

    assert tally.failures == []
    assert sum(row.accepted for row in tally.rows.values()) > 100


def test_a_run_is_the_same_again_and_another_one_by_another_seed() -> None:
    first, again, other = (run(range(200), seed, bases(None)) for seed in (3, 3, 4))

    assert first == again
    assert first != other


def test_a_check_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "gap_problem", lambda *_, **__: None)
    monkeypatch.setattr(contents, "gap_problem", lambda *_, **__: None)

    tally = spoilt(None)

    assert sum(row.disagreements for row in tally.rows.values()) > 0


def test_a_crash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "length_of", lambda record: record[99])

    tally = run(range(50), 20, bases(None))

    assert sum(row.crashes for row in tally.rows.values()) > 0
    assert "IndexError" in tally.failures[0]


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def for_ever(*_: object) -> None:
        while True:
            time.sleep(0.001)

    monkeypatch.setattr(archives, "structure_of", for_ever)
    monkeypatch.setattr(archives, "HUNG", 0.05)

    tally = run(range(3), 20, bases(None))

    assert sum(row.crashes for row in tally.rows.values()) == 3
    assert "TimeoutError" in tally.failures[0]


def test_the_walk_and_python_see_what_is_there() -> None:
    structure = structure_of(MemoryRange(GOOD))

    assert judged(GOOD) == (None, None)
    assert [file.name for file in walk(GOOD)[0]] == [
        member.raw_name for member in structure.entries
    ]


@pytest.mark.parametrize("field", ["raw_name", "offset", "compressed", "size", "method"])
def test_the_walk_objects_to_anything_that_it_does_not_see(field: str) -> None:
    structure = structure_of(MemoryRange(GOOD))
    first, *others = structure.entries
    value: object = b"c.jpg" if field == "raw_name" else getattr(first, field) + 1
    wrong = replace(first, **{field: value})  # type: ignore[arg-type]  # any field

    assert walk_objection(GOOD, structure) is None
    assert walk_objection(GOOD, replace(structure, entries=(wrong, *others)))
    assert walk_objection(GOOD, replace(structure, entries=(*others,)))


def test_python_objects_to_what_it_does_not_read() -> None:
    structure = structure_of(MemoryRange(GOOD))
    first, *others = structure.entries

    assert python_objection(GOOD, structure) is None
    assert python_objection(GOOD, replace(structure, entries=(*others,)))
    assert python_objection(GOOD[:-1], structure)
    assert python_objection(GOOD, replace(structure, entries=(replace(first, crc=1), *others)))
