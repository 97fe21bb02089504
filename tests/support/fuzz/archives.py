"""``python -m tests.support.fuzz.archives``: spoilt archives, and and whether another reader sees one differently.

Each archive is made from its own seed, so that each can be had again: ``--seed N --only NUMBER``.
"""

import argparse
import random
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lora_drop.datasets.archives import contents_of, structure_of
from lora_drop.jobs.errors import DatasetRejectedError
from tests.conftest import CORPORA
from tests.resilience.faults.report import table
from tests.support.cpu_limit import cpu_limit
from tests.support.foreign import foreign_archives
from tests.support.fuzz.mutations import mutated
from tests.support.fuzz.oracles import python_objection, walk_objection
from tests.support.memory_files import MemoryRange
from tests.support.zips import Part, assembled, photos, streamed

SLOW, HUNG = 2.0, 10.0  # CPU seconds for one archive: too many, and the end of it
HEAD = ("mutation", "count", "accepted", "refused", "crashes", "slow", "disagreements")


@dataclass
class Row:
    """What came of one kind of mutation."""

    count: int = 0
    accepted: int = 0
    crashes: int = 0
    slow: int = 0
    disagreements: int = 0


@dataclass
class Tally:
    """What came of them all."""

    rows: dict[str, Row] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def bases(corpora: Path | None) -> list[bytes]:
    """What is spoilt: archives of ours, and the foreign ones where there are any."""
    ours = [
        assembled(photos(2)),
        assembled([streamed(part) for part in photos(3)], comment=b"hello"),
        assembled([Part(name=b"a/", content=b"", method=0), Part(name=b"a/b.jpg", method=0)]),
        assembled([streamed(Part(method=0), wide=True), Part(name=b"b.txt")], zip64=True),
    ]
    return ours + [data for _, data in foreign_archives(corpora)] if corpora else ours


def judged(data: bytes) -> tuple[str | None, str | None]:
    """The code of the refusal; without one, what speaks against accepting the archive."""
    archive = MemoryRange(data)
    try:
        structure = structure_of(archive)
        for _ in contents_of(archive, structure):
            pass
    except DatasetRejectedError as rejected:
        return rejected.problems[0].code, None
    return None, walk_objection(data, structure) or python_objection(data, structure)


def run(numbers: Sequence[int], seed: int, originals: Sequence[bytes]) -> Tally:
    """Judge each of these archives."""
    tally = Tally()
    for number in numbers:
        chance = random.Random(f"{seed}:{number}")  # noqa: S311  # to be repeated, not to be secret
        kind, data = mutated(chance, originals)
        row = tally.rows.setdefault(kind, Row())
        row.count += 1
        started = time.process_time()
        try:
            with cpu_limit(HUNG):
                code, objection = judged(data)
        except Exception:  # noqa: BLE001  # any is what is looked for
            row.crashes += 1
            tally.failures.append(f"{number} ({kind}) crashed: {traceback.format_exc(limit=-2)}")
            continue
        if time.process_time() - started > SLOW:
            row.slow += 1
            tally.failures.append(f"{number} ({kind}) took {time.process_time() - started:.1f} s")
        if code:
            tally.codes[code] += 1
            continue
        row.accepted += 1
        if objection:
            row.disagreements += 1
            tally.failures.append(f"{number} ({kind}) was accepted: {objection[:600]}")
    return tally


def summary_of(tally: Tally) -> Iterator[str]:
    """The table, the codes by how often they came, and each failure."""
    rows = [
        (kind, row.count, row.accepted, row.count - row.accepted - row.crashes, row.crashes,
         row.slow, row.disagreements)
        for kind, row in sorted(tally.rows.items())
    ]  # fmt: skip
    yield from table(
        HEAD, [*rows, ("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:]))]
    )
    yield ""
    yield from table(("refused with", "count"), tally.codes.most_common())
    yield from tally.failures[:40]


def main() -> int:
    """1 when anything crashed, took too long, or was accepted although another reader sees it otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.fuzz.archives", description=__doc__
    )
    parser.add_argument("--count", type=int, default=100_000, help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the whole run (%(default)s)")
    parser.add_argument("--only", type=int, action="append", help="the number of one archive")
    said = parser.parse_args()
    warnings.filterwarnings("ignore", "Empty unicode path extra field")
    warnings.filterwarnings("ignore", "Duplicate name")
    corpora = CORPORA if CORPORA.is_dir() else None
    started = time.process_time()
    tally = run(said.only or range(said.count), said.seed, bases(corpora))
    seconds = time.process_time() - started
    sys.stdout.write("\n".join([*summary_of(tally), f"{seconds:.0f} s, seed {said.seed}", ""]))
    return int(bool(tally.failures))


if __name__ == "__main__":
    sys.exit(main())
