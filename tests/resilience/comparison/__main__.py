"""The same faults for three pipelines, and what each of them paid, lost and said.

``python -m tests.resilience.comparison [--json]``, about a minute. ``fal_client`` is one bare call of
``fal_client.submit()``; ``naive`` is ``naive_functions.py``: S3 → Lambda → ``fal_client.submit()``
under Powertools' ``@idempotent_function``, and a webhook that copies the files, on moto; ``lora-drop``
are its services over its real adapters for fal. All of them call ``tests.support.faulty_fal``.

Three things are not as in life. fal_client's pauses between its ten attempts are left out (about 50
seconds in all). Timeouts are tenths of a second: with fal_client's own 120 seconds a fault that
stalls lets a function of 15 minutes make seven attempts, not ten. And hours pass by setting clocks.
"""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby

import httpx

from tests.resilience.comparison.accidents import (
    AFTER_IT,
    AROUND_THE_POST,
    Accident,
    Bare,
    Pipeline,
    Sender,
)
from tests.resilience.comparison.naive_pipeline import Naive, surroundings
from tests.resilience.comparison.our_pipeline import Ours
from tests.resilience.submit_table import ROWS, Row
from tests.support.aws import moto
from tests.support.fal_answers import GOOD
from tests.support.faulty_fal import TIMEOUT, FaultyFal, faulty_fal, timeouts

PIPELINES = ("fal_client", "naive", "lora-drop")
LEGEND = """\
Cells: payments / POSTs that fal saw, and how many ids of paid requests are lost. *Once*: the fault
strikes the first attempt. *Always*: it stays for as long as the event is repeated, and half an hour
passes after that without it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pipeline made of one fault; ``kept`` is the result, None where none was due."""

    what: str
    always: bool
    pipeline: str
    posts: int
    paid: int
    lost_ids: int
    says: str
    done: bool
    notified: bool
    kept: str | None = None

    @property
    def surplus(self) -> int:
        return max(0, self.paid - 1)

    @property
    def goes_on(self) -> bool:
        """Whether it knows a request that it paid for."""
        return self.paid > self.lost_ids

    @property
    def lost(self) -> bool:
        """Whether the LoRA is not there, or not whole."""
        return self.kept not in ("whole", None)

    @property
    def lies(self) -> bool:
        """Whether it says what is not so."""
        return self.kept is not None and self.done == self.lost


type Column = tuple[str, bool]
type Counts = Mapping[str, Callable[[Measured], int]]
COLUMNS: Sequence[Column] = [(name, always) for name in PIPELINES for always in (False, True)]
OF_OUTCOMES: Counts = {
    "payments too many": lambda each: each.surplus,
    "drops paid more than once": lambda each: each.paid > 1,
    "ids of paid requests lost": lambda each: each.lost_ids,
    "drops that go on by themselves": lambda each: each.goes_on,
    "drops that stop, and a person is notified": lambda each: not each.goes_on and each.notified,
    "drops that stop in an exception": lambda each: not each.goes_on and not each.notified,
    "... and had been paid": lambda each: not each.goes_on and not each.notified and each.paid > 0,
}
OF_ACCIDENTS: Counts = {
    "payments too many": lambda each: each.surplus,
    "results lost or spoilt": lambda each: each.lost,
    "jobs whose status is wrong": lambda each: each.lies,
}


def report(measured: Iterable[Measured]) -> str:
    every = list(measured)
    outcomes = [each for each in every if each.kept is None]
    accidents = [each for each in every if each.kept is not None]
    return "\n\n".join(
        (
            LEGEND,
            _outcomes(outcomes),
            _sums(outcomes, COLUMNS, OF_OUTCOMES),
            _accidents(accidents),
            _sums(accidents, [(name, False) for name in PIPELINES[1:]], OF_ACCIDENTS),
        )
    )


def _outcomes(measured: Sequence[Measured]) -> str:
    rows = []
    for what, group in groupby(measured, key=lambda each: each.what):
        cells = {(each.pipeline, each.always): _cell(each) for each in group}
        rows.append([what, *(cells[column] for column in COLUMNS)])
    return _table(["what becomes of the POST", *map(_name, COLUMNS)], rows)


def _cell(each: Measured) -> str:
    lost = f" ({each.lost_ids} lost)" if each.lost_ids else ""
    return f"{each.paid}/{each.posts}{lost}"


def _accidents(measured: Sequence[Measured]) -> str:
    rows = []
    for what, group in groupby(measured, key=lambda each: each.what):
        cells = [(str(each.paid), each.kept or "", each.says) for each in group]
        rows.append([what, *(cell for pipeline in cells for cell in pipeline)])
    names = [f"{name} {what}" for name in PIPELINES[1:] for what in ("paid", "LoRA", "says")]
    return _table(["accident", *names], rows)


def _sums(measured: Sequence[Measured], columns: Sequence[Column], counts: Counts) -> str:
    mine = {
        column: [each for each in measured if (each.pipeline, each.always) == column]
        for column in columns
    }
    rows = [
        [what, *(str(sum(count(each) for each in mine[column])) for column in columns)]
        for what, count in counts.items()
    ]
    drops = len(mine[columns[0]])
    modes = {always for _, always in columns}
    names = [_name(column) if len(modes) > 1 else column[0] for column in columns]
    return _table([f"of {drops} drops each", *names], rows)


def _name(column: Column) -> str:
    name, always = column
    return f"{name} {'always' if always else 'once'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# A fault that strikes once is followed by an answer that has to come in time.
PATIENT, IMPATIENT = 0.3, 0.05


@dataclass(frozen=True)
class Bench:
    fal: FaultyFal
    senders: Sequence[Sender]
    pipelines: Sequence[Pipeline]

    def submit(self, row: Row, *, always: bool) -> Iterator[Measured]:
        """One row of the submit table, striking once or for as long as the event is repeated."""
        for sender in self.senders:
            self.fal.exchange.clear()
            sender.drop(timeouts(row.fault, IMPATIENT if always else PATIENT))
            self.fal.strike(row.fault, times=None if always else 1)
            sender.arrive()
            self.fal.strike(GOOD, times=0)
            sender.recover()
            yield self._measured(row.title, sender, always=always)

    def suffer(self, accident: Accident) -> Iterator[Measured]:
        """One accident, to the end of the dataset's story."""
        for pipeline in self.pipelines:
            self.fal.exchange.clear()
            pipeline.lifetime = accident.lifetime
            pipeline.drop(httpx.Timeout(TIMEOUT))
            accident.story(pipeline, self.fal)
            pipeline.recover()
            yield self._measured(accident.name, pipeline, due=True)

    def _measured(
        self, what: str, sender: Sender, *, always: bool = False, due: bool = False
    ) -> Measured:
        posts = self.fal.posts
        paid = {post.request_id for post in posts if post.request_id}
        ending = sender.ending(posts)
        return Measured(
            what=what,
            always=always,
            pipeline=sender.name,
            posts=len(posts),
            paid=len(paid),
            lost_ids=len(paid - ending.known),
            says=ending.says,
            done=ending.done,
            notified=ending.notified,
            kept=_kept(ending.weights, self.fal.exchange.weights) if due else None,
        )


@contextmanager
def bench() -> Iterator[Bench]:
    with moto() as aws, surroundings(), faulty_fal() as fal:
        naive, ours = Naive(aws), Ours()
        yield Bench(fal, senders=(Bare(), naive, ours), pipelines=(naive, ours))


def measure() -> Iterator[Measured]:
    with bench() as ready:
        for row in ROWS:
            yield from ready.submit(row, always=False)
            yield from ready.submit(row, always=True)
        for accident in (*AROUND_THE_POST, *AFTER_IT):
            yield from ready.suffer(accident)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="every measurement, as JSON")
    as_json = parser.parse_args().json
    logging.getLogger("fal_client").setLevel(logging.ERROR)  # it tells of every second address
    measured = list(measure())
    text = (
        json.dumps([asdict(each) for each in measured], indent=1) if as_json else report(measured)
    )
    sys.stdout.write(f"{text}\n")


def _kept(kept: bytes | None, weights: bytes) -> str:
    """What lies in the models bucket in the end."""
    if kept is None:
        return "nothing"
    if kept == weights:
        return "whole"
    return "cut short" if weights.startswith(kept) else "another file"


if __name__ == "__main__":
    main()
