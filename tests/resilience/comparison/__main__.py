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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import httpx

from tests.resilience.comparison.accidents import AFTER_IT, AROUND_THE_POST, Accident
from tests.resilience.comparison.naive_pipeline import Naive, surroundings
from tests.resilience.comparison.our_pipeline import Ours
from tests.resilience.comparison.pipelines import Bare, Pipeline, Sender
from tests.resilience.comparison.report import Measured, report
from tests.resilience.submit_table import ROWS, Row
from tests.support.aws import moto
from tests.support.fal_answers import GOOD
from tests.support.faulty_fal import TIMEOUT, FaultyFal, faulty_fal, timeouts

# A fault that strikes once is followed by an answer that has to come in time.
PATIENT, IMPATIENT = 0.3, 0.05


@dataclass(frozen=True)
class Bench:
    """Three pipelines in front of one fal."""

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
    """Everything there is, until the block ends."""
    with moto() as aws, surroundings(), faulty_fal() as fal:
        naive, ours = Naive(aws), Ours()
        yield Bench(fal, senders=(Bare(), naive, ours), pipelines=(naive, ours))


def measure() -> Iterator[Measured]:
    """Every row and every accident."""
    with bench() as ready:
        for row in ROWS:
            yield from ready.submit(row, always=False)
            yield from ready.submit(row, always=True)
        for accident in (*AROUND_THE_POST, *AFTER_IT):
            yield from ready.suffer(accident)


def main() -> None:
    """Print the table, or everything as JSON."""
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
