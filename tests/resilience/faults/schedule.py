"""One schedule: some hours of drops, faults, persons and strangers, then calm, then the reckoning."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial

from nacl.signing import SigningKey

from lora_drop.jobs.status import Status
from tests.resilience.faults.burst_run import Storm
from tests.resilience.faults.decisions import Decisions, Made
from tests.resilience.faults.fal import KEPT, End, Request
from tests.resilience.faults.fault_injection import Weather
from tests.resilience.faults.faults import Fault
from tests.resilience.faults.post import PostRoom
from tests.resilience.faults.truth import broken_promises
from tests.support.builders import NOW, make_archive

DAY = timedelta(hours=2)
LAST_EVENING = datetime(2026, 11, 30, 23, tzinfo=NOW.tzinfo)  # the month turns in the middle
MOST_STEPS = 3000
STRANGER = SigningKey(bytes(range(1, 33)))
ENDS: Mapping[Fault, End] = {
    Fault.TRAINING_FAILED: End.BILLED_FAILURE,
    Fault.TRAINING_FAILED_FREE: End.FREE_FAILURE,
    Fault.DATASET_NOT_FETCHED: End.NOT_FETCHED,
    Fault.TRAINING_CANCELLED: End.CANCELLED,
}
# One that did not get the dataset is sent once more, and the first is over.
TAKEN_BACK = frozenset({End.BILLED_FAILURE, End.FREE_FAILURE, End.CANCELLED})
POISON = (
    "not JSON",
    "",
    "{}",
    "[]",
    '{"Records": [{"s3": {}}]}',
    '{"schema_version": 1, "job_id": "nobody-0000000000"}',
    '{"schema_version": 7, "job_id": "ada-0000000000"}',
)


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to."""

    wrong: tuple[str, ...]
    struck: Counter[Fault]
    reached: Counter[Status]
    made: Made


@cache
def archive(number: int, *, valid: bool = True) -> bytes:
    """The number-th dataset: no two have the same content, and they cost differently."""
    return make_archive(images=10 if valid else 3, training={"steps": 1000 + 500 * number})


class Schedule:
    """Everything that one list of decisions makes happen."""

    def __init__(self, decisions: Decisions) -> None:
        self.decisions = decisions
        rate = decisions.pick("rate", (0.0, 0.01, 0.03, 0.08))
        self.weather = Weather(decisions, rate=rate)
        start = decisions.pick("start", (NOW, LAST_EVENING), likely=0.2)
        self.storm = Storm(decisions, self.weather, start)
        self.post = PostRoom(self.storm)
        self.end = start + DAY
        ledger = self.storm.fal.on_accept
        self.storm.fal.on_accept = lambda request: self._accepted(ledger, request)
        self._plan_datasets()
        self._plan_troubles()

    def run(self) -> Outcome:
        """From the first drop to the reckoning."""
        steps = 0
        while self.storm.clock.now < self.end and steps < MOST_STEPS:
            self.step()
            steps += 1
        while self.storm.planned:
            self.storm.planned.pop(0)[1]()
        self.rest()
        return self.outcome()

    def outcome(self) -> Outcome:
        """What it has come to so far."""
        storm = self.storm
        budget = sum(storm.rows.held_for_money.values())
        if budget:
            self.weather.struck[Fault.BUDGET_EXHAUSTED] = budget
        return Outcome(
            wrong=tuple(broken_promises(storm)),
            struck=self.weather.struck,
            reached=storm.rows.reached,
            made=self.decisions.made,
        )

    # ------------------------------------------------------------------- what is going to happen

    def _at(self, name: str) -> datetime:
        """Some minute of the day."""
        return self.storm.clock.now + timedelta(minutes=self.decisions.below(name, 90))

    def _plan_datasets(self) -> None:
        kinds = (None, Fault.DATASET_INVALID, Fault.DATASET_AGAIN)
        for number in range(1 + self.decisions.below("datasets", 4)):
            fault = self.decisions.pick("dataset", kinds, likely=0.3)
            at = self._at("drop at") if number else self.storm.clock.now
            key = f"portrait/ada-{number}.zip"
            self.storm.plan(at, partial(self._drop, key, number, fault))
            for change in (Fault.DATASET_OVERWRITTEN, Fault.DATASET_DELETED):
                if self.decisions.happens(change.name.lower(), 0.12):
                    later = at + timedelta(minutes=self.decisions.below("changed after", 30))
                    self.storm.plan(later, partial(self._change, key, number, change))

    def _drop(self, key: str, number: int, fault: Fault | None) -> None:
        again = fault is Fault.DATASET_AGAIN and number > 0
        data = archive(0 if again else number, valid=fault is not Fault.DATASET_INVALID)
        if fault is not None and (again or fault is Fault.DATASET_INVALID):
            self.weather.strike(fault)
        self.post.announce(self.storm.drop(key, data))

    def _change(self, key: str, number: int, change: Fault) -> None:
        self.weather.strike(change)
        if change is Fault.DATASET_OVERWRITTEN:
            self.post.announce(self.storm.drop(key, archive(number + 10)))
        else:
            self.storm.datasets.put(key, None)

    def _plan_troubles(self) -> None:
        choose = self.decisions
        for _ in range(choose.below("poisons", 3, likely=0.2)):
            body = choose.pick("poison", POISON)
            queue = self.storm.inbox if choose.below("poison where", 2) else self.storm.results
            self.storm.plan(self._at("poison at"), partial(self.post.poison, queue, body))
        if choose.happens("region down", 0.12):
            minutes = 10 + choose.below("down for", 61)
            self.storm.plan(self._at("down at"), lambda: self.go_down(timedelta(minutes=minutes)))
        if choose.happens("clock jumps", 0.1):
            minutes = choose.below("jumps by", 31) - 15
            self.storm.plan(self._at("jumps at"), lambda: self._jump(timedelta(minutes=minutes)))
        for _ in range(choose.below("strangers", 5, likely=0.5)):
            self.storm.plan(self._at("stranger at"), self.post.stranger)
        for _ in range(choose.below("persons", 6, likely=0.5)):
            self.storm.plan(self._at("person at"), self.person)

    def go_down(self, time: timedelta) -> None:
        self.weather.strike(Fault.REGION_DOWN)
        self.storm.down_until = self.storm.clock.now + time

    def _jump(self, by: timedelta) -> None:
        self.weather.strike(Fault.CLOCK_JUMPS)
        self.storm.worker_clock.jumped = by

    def person(self) -> None:
        """Somebody looks, and perhaps does something about it."""
        jobs = list(self.storm.rows.values())
        if not jobs:
            return
        job = jobs[self.decisions.below("person about", len(jobs))]
        what = self.decisions.pick("person", ("", "list", "cancel", "retry", "replay", "approve"))
        if what == "list":
            self._decide_later()
        if what == "cancel":
            self.weather.strike(Fault.PERSON_CANCELS)
        if what in ("", "list"):
            self.storm.ask("GET", "/jobs" if what else f"/jobs/{job.job_id}")
        else:
            self.storm.ask("POST", f"/jobs/{job.job_id}/{what}", "{}" if what == "retry" else None)

    def _decide_later(self) -> None:
        """Somebody looks at fal's dashboard now, and says what it showed in a while."""
        for job in self.storm.in_doubt():
            self.weather.strike(Fault.PERSON_LATE)
            seen = self.storm.dashboard(job)
            later = self.storm.clock.now + timedelta(minutes=self.decisions.below("says after", 20))
            self.storm.plan(later, partial(self.storm.decide, job, seen))

    def _accepted(self, ledger: Callable[[Request], None], request: Request) -> None:
        """What this training will be like."""
        ledger(request)
        if self.weather.calm:
            return
        choose = self.decisions
        took = timedelta(minutes=choose.pick("training takes", (6, 5, 10, 1, 20, 45)))
        request.ended_at = request.accepted_at + took
        request.started_at = request.accepted_at + took / 3
        fault = choose.pick("training", (None, *ENDS), likely=0.25)
        if fault is not None:
            self.weather.strike(fault)
            request.end = ENDS[fault]
        kept = timedelta(hours=1)
        if choose.happens("short lived", 0.1):
            self.weather.strike(Fault.RESULT_SHORT_LIVED)
            kept = timedelta(minutes=6)
        request.kept_until = request.ended_at + kept
        self.post.promised(request)
        if request.end in TAKEN_BACK and not request.webhook_lost and choose.happens("word", 0.3):
            later = timedelta(minutes=1 + choose.below("taken back after", 40))
            self.storm.plan(request.ended_at + later, partial(self._take_back, request))

    def _take_back(self, request: Request) -> None:
        self.weather.strike(Fault.FAILURE_TAKEN_BACK)
        self.storm.fal.take_back(request)
        # Nobody asks about what has ended: fal calls until every clock is right again.
        request.kept_until = max(request.kept_until, self.end + KEPT)

    # ------------------------------------------------------------------- how it goes

    def step(self) -> None:
        """One of the things that can happen now; if there are none, time goes on to the next."""
        storm = self.storm
        while storm.planned and storm.planned[0][0] <= storm.clock.now:
            storm.planned.pop(0)[1]()
        now = self.post.possible()
        standing: list[Callable[[], object]] = [
            partial(storm.go_on, run) for run in storm.standing if run.stands <= 0
        ]
        for run in storm.standing:
            run.stands -= 1
        if (now or standing) and not self.decisions.happens("time passes", 0.05):
            likely = 0.6 if standing and now else 0.1
            which = self.decisions.below("which", len(now) + len(standing), likely=likely)
            if 0 < which < len(now):
                self.weather.strike(Fault.MESSAGE_REORDERED)
            (*now, *standing)[which]()
            return
        later = [*self.post.times(), *(at for at, _ in storm.planned[:1])]
        if storm.down and storm.down_until:
            later = [at for at in later if at >= storm.down_until] or [storm.down_until]
        ahead = [at for at in later if at > storm.clock.now]
        storm.clock.now = min(ahead, default=storm.clock.now + timedelta(minutes=1))

    def rest(self) -> None:
        """Calm weather; persons do what they are told to; until nothing happens any more."""
        storm = self.storm
        storm.calm_down()
        storm.calm_since = storm.clock.now
        for _ in range(MOST_STEPS):
            storm.people()
            if storm.quiet:
                break
            if storm.clock.now - storm.calm_since > timedelta(hours=12):
                storm.violated("12 hours after the last fault it has not come to rest")
                break
            storm.next()()
        # Long enough for what is abandoned to be swept.
        storm.clock.now += timedelta(hours=3)
        for _ in range(2):
            storm.round()
