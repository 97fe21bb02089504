"""From every moment on, things come to a good end once nothing more goes wrong.

Checked for every state in which no worker is busy: from there one good schedule is run, until
nothing changes any more: fal ends what it has, every message is delivered, the reconciler makes its
rounds. That is enough for every state: a busy worker's call has an end, and the states on its way
there without accidents are among those that the search has met. So from every state a good end can
be reached, and a fair run, which takes every step that is possible again and again, reaches it.
"""

from dataclasses import dataclass, replace

from lora_drop.adapters.dynamodb_rows import OPEN
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.resilience.model.bounds import Role
from tests.resilience.model.fal import End
from tests.resilience.model.moves import ended, ending, messages
from tests.resilience.model.services import Call
from tests.resilience.model.table import rows_of
from tests.resilience.model.universe import Node, Universe
from tests.resilience.model.world import World

MOST_ROUNDS = 12
# A person is told, and nothing is done until one says something.
ALARMED = frozenset({Status.SUBMIT_UNKNOWN, Status.HELD})


@dataclass(frozen=True, slots=True)
class Course:
    """What the good schedule did from a world on, and what is wrong with its end."""

    steps: tuple[str, ...]
    wrong: str


class Fairness:
    """Every good schedule, each run once."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._wrong: dict[World, str] = {}

    @property
    def courses(self) -> int:
        """How many schedules were run."""
        return len(self._wrong)

    def wrong(self, node: Node) -> str:
        """What is wrong with the end that this world comes to; empty when nothing is."""
        calm = _calm(node.world)
        if calm not in self._wrong:
            self._wrong[calm] = self.course(node).wrong
        return self._wrong[calm] or (self.smooth(node).wrong if self._undisturbed(node) else "")

    def course(self, node: Node) -> Course:
        """The good schedule from here on."""
        steps: list[str] = []
        world = _calm(node.world)
        for _ in range(MOST_ROUNDS):
            before = world
            world = self._delivered(world, steps)
            world = self._called(world, Call(Role.RECONCILE, "reconcile", ""), steps)
            world = self._delivered(world, steps)
            if wrong := self._universe.node(world).wrong:
                return Course(tuple(steps), wrong)
            if world == before:
                return Course(tuple(steps), _bad_end(world, self._universe.bounds.slots))
        return Course(tuple(steps), f"it never comes to rest: {_states(world)}")

    def smooth(self, node: Node) -> Course:
        """What comes of it without the reconciler, for it is there for accidents."""
        steps: list[str] = []
        before, world = None, _calm(node.world)
        while world != before:
            before, world = world, self._delivered(world, steps)
        ends = (Status.SUCCEEDED, Status.HELD)
        late = [job for job in world.jobs.values() if job.status not in ends]
        wrong = f"nothing has gone wrong, and yet {_states(world)}" if late else ""
        return Course(tuple(steps), wrong)

    def _undisturbed(self, node: Node) -> bool:
        """Whether nothing but the usual has happened; twins wait for the reconciler by design."""
        start = self._universe.start()[0].world
        world = node.world
        spent = (start.faults, start.rounds, start.decisions)
        return (world.faults, world.rounds, world.decisions) == spent and not (
            self._universe.bounds.twins
        )

    def _delivered(self, world: World, steps: list[str]) -> World:
        """Everything that waits, once; what is refused waits for the next round."""
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
        """After this call, with the good one of every answer."""
        stage = self._universe.stage
        local, node = stage.begin(call), self._universe.node(world)
        while local.effect is not None:
            _, answer, node = node.answers(local.effect, self._universe)[0]
            local = stage.after(local, answer)
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
    if stuck or not jobs:
        return f"at the end of the good schedule, {_states(world) or 'there is no job'}"
    listed = {item["job_id"] for (pk, _), item in rows_of(world.table).items() if pk == OPEN}
    untold = [job.job_id for job in jobs.values() if job.terminal and job.job_id in listed]
    return f"nobody tells the end of {', '.join(untold)}" if untold else ""


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


def _evidence(job: Job, world: World) -> list[str]:
    return [
        each.request_id
        for each in world.requests
        if world.jobs[each.job_id].dataset == job.dataset
        and each.request_id not in job.earlier_requests
    ]


def _lost(job: Job, world: World) -> bool:
    """Whether fal has a result for the job that is neither stored nor given up by a person."""
    owed = [each for each in world.of_job(job.job_id) if each.paid and each.end is End.OK]
    kept = [each for each in owed if each.kept and not each.denied]
    return bool(kept) and not world.wronged(job.job_id) and job.status is not Status.SUCCEEDED
