"""One schedule: hours of drops, faults, persons and strangers, then calm, then all invariants.

A schedule that broke one is made small and kept in a file, which the tests run from then on.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from lora_drop.jobs.status import Status
from tests.resilience.faults.fal import KEPT, End, Request
from tests.resilience.faults.fault_injection import FaultInjector
from tests.resilience.faults.faults import (
    Decisions,
    Fault,
    Made,
    RandomSource,
    ScriptedSource,
    as_list,
    made_of,
)
from tests.resilience.faults.inputs import Inputs
from tests.resilience.faults.invariants import broken_promises
from tests.resilience.faults.schedule_harness import ScheduleHarness
from tests.support.builders import NOW, make_archive

DAY = timedelta(hours=2)
LAST_EVENING = datetime(2026, 11, 30, 23, tzinfo=NOW.tzinfo)  # the month turns in the middle
MOST_STEPS = 3000
ENDS: Mapping[Fault, End] = {
    Fault.TRAINING_FAILED: End.BILLED_FAILURE,
    Fault.TRAINING_FAILED_FREE: End.FREE_FAILURE,
    Fault.DATASET_NOT_FETCHED: End.NOT_FETCHED,
    Fault.TRAINING_CANCELLED: End.CANCELLED,
    Fault.DATASET_NOT_FETCHED_BILLED: End.NOT_FETCHED_BILLED,
}
# One that did not get the dataset is sent once more, and the first is over.
TAKEN_BACK = frozenset({End.BILLED_FAILURE, End.FREE_FAILURE, End.CANCELLED})
POISON = (
    "not JSON",
    "",
    "{}",
    "[]",
    '{"Records": [{"s3": {}}]}',
    '{"schema_version": 1, "job_id": "missing-0000000000"}',
    '{"schema_version": 7, "job_id": "ada-0000000000"}',
)


@dataclass(frozen=True)
class Outcome:
    wrong: tuple[str, ...]
    struck: Counter[Fault]
    reached: Counter[Status]
    made: Made


@cache
def archive(number: int, *, valid: bool = True) -> bytes:
    return make_archive(images=10 if valid else 3, training={"steps": 1000 + 500 * number})


class Schedule:
    def __init__(self, decisions: Decisions) -> None:
        self.decisions = decisions
        rate = decisions.pick("rate", (0.0, 0.01, 0.03, 0.08))
        self.injector = FaultInjector(decisions, rate=rate)
        start = decisions.pick("start", (NOW, LAST_EVENING), likely=0.2)
        self.harness = ScheduleHarness(decisions, self.injector, start)
        self.inputs = Inputs(self.harness)
        self.end = start + DAY
        ledger = self.harness.fal.on_accept
        self.harness.fal.on_accept = lambda request: self._accepted(ledger, request)
        self._plan_datasets()
        self._plan_troubles()

    def run(self) -> Outcome:
        steps = 0
        while self.harness.clock.now < self.end and steps < MOST_STEPS:
            self.step()
            steps += 1
        while self.harness.planned:
            self.harness.planned.pop(0)[1]()
        self.rest()
        return self.outcome()

    def outcome(self) -> Outcome:
        harness = self.harness
        budget = sum(harness.rows.held_for_money.values())
        if budget:
            self.injector.struck[Fault.BUDGET_EXHAUSTED] = budget
        return Outcome(
            wrong=tuple(broken_promises(harness)),
            struck=self.injector.struck,
            reached=harness.rows.reached,
            made=self.decisions.made,
        )

    def _at(self, name: str) -> datetime:
        return self.harness.clock.now + timedelta(minutes=self.decisions.below(name, 90))

    def _plan_datasets(self) -> None:
        kinds = (None, Fault.DATASET_INVALID, Fault.DATASET_AGAIN)
        for number in range(1 + self.decisions.below("datasets", 4)):
            fault = self.decisions.pick("dataset", kinds, likely=0.3)
            at = self._at("drop at") if number else self.harness.clock.now
            key = f"portrait/ada-{number}.zip"
            self.harness.plan(at, partial(self._drop, key, number, fault))
            for change in (Fault.DATASET_OVERWRITTEN, Fault.DATASET_DELETED):
                if self.decisions.happens(change.name.lower(), 0.12):
                    later = at + timedelta(minutes=self.decisions.below("changed after", 30))
                    self.harness.plan(later, partial(self._change, key, number, change))

    def _drop(self, key: str, number: int, fault: Fault | None) -> None:
        again = fault is Fault.DATASET_AGAIN and number > 0
        data = archive(0 if again else number, valid=fault is not Fault.DATASET_INVALID)
        if fault is not None and (again or fault is Fault.DATASET_INVALID):
            self.injector.strike(fault)
        proof = {"proof": "true"} if self.decisions.happens("proof sheet", 0.3) else {}
        self.inputs.announce(self.harness.drop(key, data, proof))

    def _change(self, key: str, number: int, change: Fault) -> None:
        self.injector.strike(change)
        if change is Fault.DATASET_OVERWRITTEN:
            self.inputs.announce(self.harness.drop(key, archive(number + 10)))
        else:
            self.harness.datasets.put(key, None)

    def _plan_troubles(self) -> None:
        choose = self.decisions
        for _ in range(choose.below("poisons", 3, likely=0.2)):
            body = choose.pick("poison", POISON)
            queue = self.harness.inbox if choose.below("poison where", 2) else self.harness.results
            self.harness.plan(self._at("poison at"), partial(self.inputs.poison, queue, body))
        if choose.happens("region down", 0.12):
            minutes = 10 + choose.below("down for", 61)
            self.harness.plan(self._at("down at"), lambda: self.go_down(timedelta(minutes=minutes)))
        if choose.happens("clock jumps", 0.1):
            minutes = choose.below("jumps by", 31) - 15
            self.harness.plan(self._at("jumps at"), lambda: self._jump(timedelta(minutes=minutes)))
        for _ in range(choose.below("strangers", 5, likely=0.5)):
            self.harness.plan(self._at("stranger at"), self.inputs.stranger)
        for _ in range(choose.below("persons", 6, likely=0.5)):
            self.harness.plan(self._at("person at"), self.person)

    def go_down(self, time: timedelta) -> None:
        self.injector.strike(Fault.REGION_DOWN)
        self.harness.down_until = self.harness.clock.now + time

    def _jump(self, by: timedelta) -> None:
        self.injector.strike(Fault.CLOCK_JUMPS)
        self.harness.worker_clock.jumped = by

    def person(self) -> None:
        jobs = list(self.harness.rows.values())
        if not jobs:
            return
        job = jobs[self.decisions.below("person about", len(jobs))]
        what = self.decisions.pick("person", ("", "list", "cancel", "retry", "replay", "approve"))
        if what == "list":
            self._decide_later()
        if what == "cancel":
            self.injector.strike(Fault.PERSON_CANCELS)
        if what in ("", "list"):
            self.harness.ask("GET", "/jobs" if what else f"/jobs/{job.job_id}")
        else:
            self.harness.ask(
                "POST", f"/jobs/{job.job_id}/{what}", "{}" if what == "retry" else None
            )

    def _decide_later(self) -> None:
        for job in self.harness.in_doubt():
            self.injector.strike(Fault.PERSON_LATE)
            seen = self.harness.dashboard(job)
            later = self.harness.clock.now + timedelta(
                minutes=self.decisions.below("says after", 20)
            )
            self.harness.plan(later, partial(self.harness.decide, job, seen))

    def _accepted(self, ledger: Callable[[Request], None], request: Request) -> None:
        ledger(request)
        if self.injector.calm:
            return
        choose = self.decisions
        took = timedelta(minutes=choose.pick("training takes", (6, 5, 10, 1, 20, 45)))
        request.ended_at = request.accepted_at + took
        request.started_at = request.accepted_at + took / 3
        fault = choose.pick("training", (None, *ENDS), likely=0.25)
        if fault is not None:
            self.injector.strike(fault)
            request.end = ENDS[fault]
        kept = timedelta(hours=1)
        if choose.happens("short lived", 0.1):
            self.injector.strike(Fault.RESULT_SHORT_LIVED)
            kept = timedelta(minutes=6)
            request.stored = choose.happens("stored output", 0.5)
        request.kept_until = request.ended_at + kept
        self.inputs.promised(request)
        self.inputs.files_of(request)
        if request.end in TAKEN_BACK and not request.webhook_lost and choose.happens("word", 0.3):
            later = timedelta(minutes=1 + choose.below("taken back after", 40))
            self.harness.plan(request.ended_at + later, partial(self._take_back, request))

    def _take_back(self, request: Request) -> None:
        self.injector.strike(Fault.FAILURE_TAKEN_BACK)
        self.harness.fal.take_back(request)
        # No worker asks about what has ended: fal calls until every clock is right again.
        request.kept_until = max(request.kept_until, self.end + KEPT)

    def step(self) -> None:
        """Do one thing that can happen now; if there is none, set the clock to the next."""
        harness = self.harness
        while harness.planned and harness.planned[0][0] <= harness.clock.now:
            harness.planned.pop(0)[1]()
        now = self.inputs.possible()
        standing: list[Callable[[], object]] = [
            partial(harness.go_on, run) for run in harness.standing if run.stands <= 0
        ]
        for run in harness.standing:
            run.stands -= 1
        if (now or standing) and not self.decisions.happens("time passes", 0.05):
            likely = 0.6 if standing and now else 0.1
            which = self.decisions.below("which", len(now) + len(standing), likely=likely)
            if 0 < which < len(now):
                self.injector.strike(Fault.MESSAGE_REORDERED)
            (*now, *standing)[which]()
            return
        later = [*self.inputs.times(), *(at for at, _ in harness.planned[:1])]
        if harness.down and harness.down_until:
            later = [at for at in later if at >= harness.down_until] or [harness.down_until]
        ahead = [at for at in later if at > harness.clock.now]
        harness.clock.now = min(ahead, default=harness.clock.now + timedelta(minutes=1))

    def rest(self) -> None:
        """Run without faults, with persons who do what is asked, until nothing happens any more."""
        harness = self.harness
        harness.calm_down()
        harness.calm_since = harness.clock.now
        for _ in range(MOST_STEPS):
            harness.act_as_person()
            if harness.quiet:
                break
            if harness.clock.now - harness.calm_since > timedelta(hours=12):
                harness.violated("12 hours after the last fault it has not come to rest")
                break
            harness.next()()
        # Long enough for what is abandoned to be swept.
        harness.clock.now += timedelta(hours=3)
        for _ in range(2):
            harness.round()


FIXTURES = Path(__file__).with_name("fixtures.json")


def fixtures(file: Path = FIXTURES) -> dict[str, Any]:
    """The schedules that once broke a promise, by name: what went wrong, and every decision that led there."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def fixture_of(mutation: str) -> str:
    return f"without-{mutation.lower().replace(' ', '-')}"


def by_seed(seed: int) -> Outcome:
    return Schedule(Decisions(RandomSource(seed))).run()


def by_decisions(made: Mapping[str, Mapping[int, int]]) -> Outcome:
    return Schedule(Decisions(ScriptedSource(made))).run()


def of_fixture(kept: Mapping[str, Any]) -> Outcome:
    return by_decisions(made_of(kept["decisions"]))


def save(name: str, outcome: Outcome, file: Path = FIXTURES) -> None:
    """Keep a schedule under this name, one a line."""
    kept = fixtures(file) | {name: {"wrong": outcome.wrong, "decisions": as_list(outcome.made)}}
    rows = [f"  {json.dumps(key)}: {json.dumps(kept[key])}" for key in sorted(kept)]
    file.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def same_kind(wrong: Sequence[str]) -> Callable[[Outcome], bool]:
    kind = _kind(wrong[0])
    return lambda outcome: any(_kind(each) == kind for each in outcome.wrong)


def _kind(promise: str) -> str:
    """A broken promise without what is particular to this job."""
    return " ".join(word for word in promise.split() if not any(map(str.isdigit, word)))
