"""All states of a check and the steps between them; and a way through them as text."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from tests.resilience.model.answers import answers
from tests.resilience.model.invariants import broken
from tests.resilience.model.moves import ended, moves
from tests.resilience.model.replay import Answer, Effect, Executions, Local
from tests.resilience.model.services import Call, ServiceFactory
from tests.resilience.model.world import Bounds, Fault, Role, World

type Workers = tuple[Local | None, ...]
type State = tuple["Node", Workers]
# Who (his place among the workers, or -1 for what happens outside), where he stood (or begins),
# what came of his step, and the state after it.
type Step = tuple[int, Local | None, str, State]

DIES = "dies"


class Node:
    """A world with what may follow from it, computed once."""

    __slots__ = ("_answers", "_moves", "world", "wrong")

    def __init__(self, world: World, wrong: str) -> None:
        self.world = world
        self.wrong = wrong
        self._answers: dict[Effect, tuple[tuple[str, Answer, Node], ...]] = {}
        self._moves: tuple[tuple[str, Node, Call | None], ...] | None = None

    def answers(
        self, effect: Effect, universe: "Universe"
    ) -> tuple[tuple[str, Answer, "Node"], ...]:
        known = self._answers.get(effect)
        if known is None:
            possible = answers(self.world, effect, universe.bounds)
            known = tuple((each.text, each.answer, universe.node(each.world)) for each in possible)
            self._answers[effect] = known
        return known

    def moves(self, universe: "Universe") -> tuple[tuple[str, "Node", Call | None], ...]:
        if self._moves is None:
            found = moves(self.world, universe.bounds)
            self._moves = tuple((each.text, universe.node(each.world), each.call) for each in found)
        return self._moves


class Universe:
    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.roles = bounds.roles
        self.factory = ServiceFactory(bounds)
        self.executions = Executions(self.factory.play)
        self._nodes: dict[World, Node] = {}
        self._places = {
            role: [at for at, each in enumerate(self.roles) if each is role] for role in Role
        }

    def node(self, world: World) -> Node:
        node = self._nodes.get(world)
        if node is None:
            node = self._nodes[world] = Node(world, broken(world, self.bounds))
        return node

    def start(self) -> State:
        bounds = self.bounds
        inbox = tuple(sorted(self.factory.versions))
        world = World(bounds.faults, bounds.rounds, bounds.decisions, inbox=inbox)
        return self.node(world), (None,) * len(self.roles)

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that may happen next, and the state after it."""
        node, workers = state
        for at, local in enumerate(workers):
            if local is not None and local.effect is not None:
                for text, answer, after in node.answers(local.effect, self):
                    then = self.executions.after(local, answer)
                    yield at, local, text, self._on(after, workers, at, then)
                if node.world.faults and Fault.CRASH in self.bounds.kinds:
                    after = self.node(node.world.fewer_faults())
                    yield at, local, DIES, self._over(after, workers, at, local)
        for text, after, call in node.moves(self):
            if call is None:
                yield -1, None, text, (after, workers)
            else:
                free = [at for at in self._places[call.role] if workers[at] is None]
                if free:
                    local = self.executions.begin(call)
                    yield free[0], local, text, self._on(after, workers, free[0], local)

    def _on(self, node: Node, workers: Workers, at: int, local: Local) -> State:
        """The state with this worker one step on, or gone when its call has ended."""
        if local.outcome is None:
            return node, self._sorted(workers, at, local)
        if local.outcome.surprising:
            wrong = f"unexpected error: {local.outcome.text}, in {local.call}"
            node = self.node(replace(node.world, wrong=wrong))
        return self._over(node, workers, at, local)

    def _over(self, node: Node, workers: Workers, at: int, local: Local) -> State:
        """The state without this worker, who is done or has died."""
        return self.node(ended(node.world, local)), self._sorted(workers, at, None)

    def alike(self, at: int) -> list[int]:
        return self._places[self.roles[at]]

    def _sorted(self, workers: Workers, at: int, local: Local | None) -> Workers:
        """Workers of one kind are alike: only what they do tells them apart."""
        changed = list(workers)
        changed[at] = local
        places = self.alike(at)
        if len(places) > 1:
            alike = sorted((changed[place] for place in places), key=number, reverse=True)
            changed[places[0] : places[-1] + 1] = alike
        return tuple(changed)


def number(local: Local | None) -> int:
    return 0 if local is None else local.number


def trace(universe: Universe, states: Sequence[State]) -> tuple[str, ...]:
    return tuple(_lines(universe, states))


def _lines(universe: Universe, states: Sequence[State]) -> Iterator[str]:
    roles = universe.roles
    names = [f"{role} {roles[: at + 1].count(role)}" for at, role in enumerate(roles)]
    for before, after in pairwise(states):
        step = next(each for each in universe.steps(before) if each[3] == after)
        at, local, text, _ = step
        yield _line(names, before, step)
        if at >= 0:
            names = _renamed(universe, names, before, after, at)
            if after[1] != before[1] and local and _ended(before, after):
                yield f"    … {local.call} is over"
        assert text is not None


def _line(names: Sequence[str], before: State, step: Step) -> str:
    at, local, text, _ = step
    if at < 0 or local is None:
        return text
    if before[1][at] is None:
        return f"{names[at]}: {local.call} {text}".rstrip()
    return f"{names[at]}: {text}" if text == DIES else f"{names[at]}: {local.effect} → {text}"


def _ended(before: State, after: State) -> bool:
    return sum(each is None for each in after[1]) > sum(each is None for each in before[1])


def _renamed(
    universe: Universe, names: list[str], before: State, after: State, at: int
) -> list[str]:
    """The names in their new order: the one worker that has changed may have moved."""
    places = universe.alike(at)
    had = {place: before[1][place] for place in places}
    changed = _changed(had, [after[1][place] for place in places])
    pairs = [(changed if place == at else had[place], names[place]) for place in places]
    pairs.sort(key=lambda pair: number(pair[0]), reverse=True)
    renamed = list(names)
    for place, (_, name) in zip(places, pairs, strict=True):
        renamed[place] = name
    return renamed


def _changed(had: dict[int, Local | None], has: Sequence[Local | None]) -> Local | None:
    """Return the worker in the place that was free."""
    left = list(has)
    for local in had.values():
        if local in left:
            left.remove(local)
    return left[0] if left else None
