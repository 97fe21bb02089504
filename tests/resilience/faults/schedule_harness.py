"""The harness of one schedule: workers that overlap, clocks that disagree, a region that goes away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import JobNotFoundError
from tests.resilience.faults import functions
from tests.resilience.faults.effects import Effect
from tests.resilience.faults.fal import Request
from tests.resilience.faults.fault_injection import FaultInjector
from tests.resilience.faults.faults import Decisions, Fault, Killed
from tests.resilience.faults.functions import Worker
from tests.resilience.faults.harness import OF_FAULTS, Harness
from tests.resilience.faults.queues import StackWorld
from tests.support.memory import ManualClock

A_CALL = timedelta(milliseconds=20)
# The template's.
TIMEOUTS = {
    "submit": timedelta(seconds=300),
    "webhook": timedelta(seconds=15),
    "store": timedelta(seconds=900),
    "reconcile": timedelta(seconds=120),
    "jobs": timedelta(seconds=15),
}


@dataclass
class Run:
    name: str
    number: int
    began: datetime
    then: Callable[[Any], None]
    skew: timedelta = timedelta(0)
    worker: Worker | None = None
    stands: int = 0  # so many things happen before it goes on
    answer: Any = None


class WorkerClock(ManualClock):
    def __init__(self, true: ManualClock) -> None:
        super().__init__(true.now)
        self.true = true
        self.off = timedelta(0)
        self.jumped = timedelta(0)

    def __call__(self) -> datetime:
        return self.true.now + self.off + self.jumped


class ScheduleHarness(Harness):
    def __init__(self, decisions: Decisions, injector: FaultInjector, start: datetime) -> None:
        self.decisions, self.injector = decisions, injector
        self.interleaving = decisions.pick("overlap", (0.0, 0.3, 0.8))
        self.skewing = decisions.pick("skews", (0.0, 0.0, 0.2))
        self.standing: list[Run] = []
        self.running: list[Run] = []
        self.down_until: datetime | None = None
        self.poisoned = False
        super().__init__(injector, clock=ManualClock(start))
        injector.around = self
        self.cdn.spend = self.spend

    def build(self) -> StackWorld:
        world = super().build()
        self.worker_clock = WorkerClock(self.clock)
        world.clock = self.worker_clock
        world.limits = Limits(
            max_in_flight=self.decisions.pick("slots", (2, 1, 3)),
            monthly_usd=self.decisions.pick("budget", (100.0, 8.0, 3.0), likely=0.3),
            job_usd=25.0,
        )
        self.rows.limits = world.limits
        return world

    @property
    def down(self) -> bool:
        return self.down_until is not None and self.clock.now < self.down_until

    def invoke(self, name: str, event: Mapping[str, Any], then: Callable[[Any], None]) -> None:
        """Invoke a function at once, or in pieces between which others run."""
        taken = {run.number for run in (*self.standing, *self.running) if run.name == name}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        run = Run(name, number, self.clock.now, then, self._skew(name))
        if self.running or not self.decisions.happens(f"{name} overlaps", self.interleaving):
            self._within(run, lambda: self._work(run, event))
            then(run.answer)
            return
        run.worker = Worker.begin(lambda _: self._work(run, event))
        self.go_on(run)

    def go_on(self, run: Run, error: BaseException | None = None) -> None:
        """Let an overlapping invocation run until it stands still again, or is done."""
        assert run.worker is not None
        worker = run.worker
        if run in self.standing:
            self.standing.remove(run)
        if self._within(run, lambda: worker.resume(error)):
            self.standing.append(run)
        else:
            run.then(run.answer)

    def _within[R](self, run: Run, work: Callable[[], R]) -> R:
        before, self.worker_clock.off = self.worker_clock.off, run.skew
        self.running.append(run)
        try:
            return work()
        finally:
            self.running.pop()
            self.worker_clock.off = before

    def _work(self, run: Run, event: Mapping[str, Any]) -> None:
        try:
            run.answer = functions.call(run.name, event, self.world, number=run.number)
        except Killed:
            self.deaths += 1
        except Exception as error:  # noqa: BLE001  # whatever a function lets out is looked at
            self.complain(run.name, error)
        self.hear(run.name)

    def excused(self, error: BaseException) -> bool:
        if isinstance(error, ValueError | JobNotFoundError) and self.poisoned:
            return True
        return not self.injector.calm and isinstance(error, OF_FAULTS)

    def _skew(self, name: str) -> timedelta:
        if self.injector.calm or not self.decisions.happens(f"{name} is skewed", self.skewing):
            return timedelta(0)
        self.injector.strike(Fault.SKEWED)
        return timedelta(minutes=self.decisions.below("skew by", 31) - 15)

    @property
    def who(self) -> str:
        return self.running[-1].name

    def pause(self, effect: Effect) -> None:
        """Pause before this call while others run; a worker over its timeout is stopped."""
        self.clock.now += A_CALL
        run = self.running[-1]
        if not self.interleaving:
            return
        # Asked of all, so that one who does not overlap any more does not change the others.
        where = f"{run.name} stands before {effect.port}.{effect.method}"
        # Between a write and what is published of it there is most to see.
        likely = 0.3 if effect.method == "write" else 0.15
        if not self.decisions.happens(where, likely) or run.worker is None:
            return
        self.injector.strike(Fault.INTERLEAVED)
        run.stands = self.decisions.below(f"{run.name} stands for", 40)
        run.worker.pause()
        if self._over(run):
            self.injector.strike(Fault.TIMED_OUT)
            raise Killed

    def spend(self, time: timedelta) -> None:
        run = self.running[-1]
        if self.clock.now + time - run.began <= TIMEOUTS[run.name]:
            self.clock.now += time
            return
        self.clock.now = max(self.clock.now, run.began + TIMEOUTS[run.name])
        raise Killed

    def _over(self, run: Run) -> bool:
        return self.clock.now - run.began > TIMEOUTS[run.name]

    def change_servers(self) -> None:
        self.cdn.servers += 1

    def webhook_now(self) -> None:
        request = list(self.fal.requests.values())[-1]
        for delivery in [each for each in self.fal.outbox if each.request is request]:
            request.ended_at = request.started_at = delivery.at = self.clock.now
            self.deliver(delivery)

    def everything_is_listed(self) -> bool:
        return all(each.listed_at <= self.clock.now for each in self.fal.requests.values())

    def calm_down(self) -> None:
        """End all faults: a worker that stands still is dead, everything else goes on."""
        for run in list(self.standing):
            self.go_on(run, Killed())
        self.injector.calm = True
        self.interleaving = self.skewing = 0.0
        self.down_until = None
        self.worker_clock.jumped = timedelta(0)
        for request in self.fal.requests.values():
            request.listed_at = min(request.listed_at, self.clock.now)
            request.files_at = None


def forged(request: Request) -> bytes:
    said = '{"request_id": "%s", "status": "ERROR", "error": "forged", "payload": null}'
    return (said % request.request_id).encode()
