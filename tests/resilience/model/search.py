"""Every state that can be reached, breadth first, and the shortest way to the first violation.

Checked for every state in which no worker is busy: from there one good schedule is run, until
nothing changes any more: fal ends what it has, every message is delivered, the reconciler makes its
rounds. That is enough for every state: a busy worker's call has an end, and the states on its way
there without faults are among those that the search has met. So from every state a good end can
be reached, and a fair run, which takes every step that is possible again and again, reaches it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

from lora_drop.adapters.dynamodb_rows import OPEN
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.resilience.model.answers import sent_alike
from tests.resilience.model.moves import ended, ending, messages
from tests.resilience.model.services import Call, without_time
from tests.resilience.model.table import rows_of
from tests.resilience.model.universe import Node, State, Universe, trace
from tests.resilience.model.world import Bounds, End, Role, World

CALM = "--- from here on nothing goes wrong:"


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a check; ``wrong`` is empty when no invariant was broken."""

    states: int
    transitions: int
    seconds: float
    complete: bool
    wrong: str = ""
    steps: tuple[str, ...] = ()


class Search:
    """The states met so far, each with the one it was first reached from."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.parents: dict[State, State | None] = {}
        self.transitions = 0
        self.fairness = Fairness(universe)
        self._began = monotonic()

    def run(self) -> Found:
        first = self.universe.start()
        self.parents[first] = None
        ahead = deque([first])
        while ahead and len(self.parents) < self.universe.bounds.most_states:
            state = ahead.popleft()
            for *_, after in self.universe.steps(state):
                self.transitions += 1
                if after not in self.parents:
                    self.parents[after] = state
                    if wrong := self._wrong(after):
                        return self._found(wrong, self._story(after), complete=False)
                    ahead.append(after)
        return self._found("", (), complete=not ahead)

    def way_to(self, state: State) -> tuple[State, ...]:
        states = [state]
        while (parent := self.parents[states[-1]]) is not None:
            states.append(parent)
        return tuple(reversed(states))

    def _story(self, state: State) -> tuple[str, ...]:
        way = trace(self.universe, self.way_to(state))
        node, workers = state
        if node.wrong or any(workers):
            return way
        continuation = self.fairness.continuation(node)
        return (
            *way,
            CALM,
            *(continuation if continuation.wrong else self.fairness.undisturbed(node)).steps,
        )

    def _wrong(self, state: State) -> str:
        node, workers = state
        if node.wrong or any(workers):
            return node.wrong
        return self.fairness.wrong(node)

    def _found(self, wrong: str, steps: tuple[str, ...], *, complete: bool) -> Found:
        return Found(
            states=len(self.parents),
            transitions=self.transitions,
            seconds=monotonic() - self._began,
            complete=complete,
            wrong=wrong,
            steps=steps,
        )


MOST_ROUNDS = 12
# A person is notified, and nothing is done until one decides.
ALARMED = frozenset({Status.SUBMIT_UNKNOWN, Status.HELD})


@dataclass(frozen=True, slots=True)
class Continuation:
    steps: tuple[str, ...]
    wrong: str


class Fairness:
    """Every schedule without faults, each run once."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._wrong: dict[World, str] = {}

    def wrong(self, node: Node) -> str:
        """What is wrong with the end that this world comes to; empty when nothing is."""
        calm = _calm(node.world)
        if calm not in self._wrong:
            self._wrong[calm] = self.continuation(node).wrong
        return self._wrong[calm] or (
            self.undisturbed(node).wrong if self._undisturbed(node) else ""
        )

    def continuation(self, node: Node) -> Continuation:
        steps: list[str] = []
        world = _calm(node.world)
        for _ in range(MOST_ROUNDS):
            before = world
            world = self._delivered(world, steps)
            world = self._called(world, Call(Role.RECONCILE, "reconcile", ""), steps)
            world = self._delivered(world, steps)
            if wrong := self._universe.node(world).wrong:
                return Continuation(tuple(steps), wrong)
            if world == before:
                return Continuation(tuple(steps), _bad_end(world, self._universe.bounds.slots))
        return Continuation(tuple(steps), f"it never comes to rest: {_states(world)}")

    def undisturbed(self, node: Node) -> Continuation:
        """Run without the reconciler, which is needed only after faults."""
        steps: list[str] = []
        before, world = None, _calm(node.world)
        while world != before:
            before, world = world, self._delivered(world, steps)
        ends = (Status.SUCCEEDED, Status.HELD)
        waits = any(job.status is Status.HELD for job in world.jobs.values())
        late = [
            job
            for job in world.jobs.values()
            if job.status not in ends or (job.proof_open and not waits)
        ]
        wrong = f"nothing has gone wrong, and yet {_states(world)}" if late else ""
        return Continuation(tuple(steps), wrong)

    def _undisturbed(self, node: Node) -> bool:
        """Whether nothing but the usual has happened; duplicates wait for the reconciler by design."""
        start = self._universe.start()[0].world
        world = node.world
        spent = (start.faults, start.rounds, start.decisions)
        return (world.faults, world.rounds, world.decisions) == spent and not (
            self._universe.bounds.duplicates
        )

    def _delivered(self, world: World, steps: list[str]) -> World:
        """Deliver everything that waits once; what is refused waits for the next round."""
        for request in world.requests:
            if request.end is None:
                move = ending(world, request, End.OK)
                steps.append(move.text)
                world = move.world
        tried: set[Call] = set()
        while waiting := [each for each in messages(world) if _alike(each.call) not in tried]:
            first = waiting[0]
            assert first.call
            tried.add(_alike(first.call))
            world = self._called(first.world, first.call, steps)
        return world

    def _called(self, world: World, call: Call, steps: list[str]) -> World:
        """Return the world after this call, with the first answer of each step."""
        executions = self._universe.executions
        local, node = executions.begin(call), self._universe.node(world)
        while local.effect is not None:
            _, answer, node = node.answers(local.effect, self._universe)[0]
            local = executions.after(local, answer)
        assert local.outcome
        steps.append(f"{call.role}: {call} → {local.outcome.text}")
        return ended(node.world, local)


def _alike(call: Call | None) -> Call:
    assert call
    return replace(call, owner="")


def _calm(world: World) -> World:
    return replace(world, faults=0, rounds=0, decisions=0, strays=0)


def _states(world: World) -> str:
    return ", ".join(f"{job.job_id} is {job.status}" for job in world.jobs.values())


def _bad_end(world: World, slots: int) -> str:
    jobs = world.jobs
    stuck = [job for job in jobs.values() if not _well(job, world, slots)]
    stuck += [job for job in jobs.values() if _sheet_is_late(job, jobs)]
    if stuck or not jobs:
        return f"at the end of the good schedule, {_states(world) or 'there is no job'}"
    listed = {item["job_id"] for (pk, _), item in rows_of(world.table).items() if pk == OPEN}
    untold = [
        job.job_id
        for job in jobs.values()
        if job.terminal and not job.proof_open and job.job_id in listed
    ]
    return f"unpublished is the end of {', '.join(untold)}" if untold else ""


def _well(job: Job, world: World, slots: int) -> bool:
    """Whether this job has ended with what it was paid for, or a person knows why it has not."""
    jobs = world.jobs
    match job.status:
        case Status.SUBMIT_UNKNOWN:
            return job.job_id in world.doubtful and len(_evidence(job, world)) != 1
        case Status.HELD:
            return True
        case Status.READY:
            in_doubt = sum(each.status is Status.SUBMIT_UNKNOWN for each in jobs.values())
            return in_doubt >= slots
        case Status.RECEIVED:
            # It waits for a job with the same content.
            return any(
                each.status in ALARMED or each.status is Status.READY for each in jobs.values()
            )
    return job.terminal and not _lost(job, world)


def _sheet_is_late(job: Job, jobs: Mapping[str, Job]) -> bool:
    """Whether a sheet was not made although every picture of it has ended, or is not of the pictures as they are."""
    if job.proof is None or job.status is not Status.SUCCEEDED or job.proof.note:
        return False
    pictures = [jobs.get(each) for each in job.proof.pictures]
    if not pictures or None in pictures:
        return True
    known = {each.job_id: each.version for each in pictures if each}
    ended = all(each.terminal for each in pictures if each)
    return ended and job.proof.made_from != known


def _evidence(job: Job, world: World) -> list[str]:
    return [
        each.request_id
        for each in world.requests
        if sent_alike(world.jobs[each.job_id], job) and each.request_id not in job.earlier_requests
    ]


def _lost(job: Job, world: World) -> bool:
    """Whether fal has a result for the job that is neither stored nor given up by a person."""
    owed = [each for each in world.of_job(job.job_id) if each.paid and each.end is End.OK]
    kept = [each for each in owed if each.kept and not each.denied]
    return bool(kept) and not world.wronged(job.job_id) and job.status is not Status.SUCCEEDED


def check(bounds: Bounds) -> Found:
    with without_time():
        return Search(Universe(bounds)).run()
