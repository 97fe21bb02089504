"""Every moment that can be reached, breadth first, and the shortest way to the first bad one."""

from collections import deque
from dataclasses import dataclass
from time import monotonic

from tests.resilience.model.fair import Fairness
from tests.resilience.model.story import told
from tests.resilience.model.universe import State, Universe

CALM = "--- from here on nothing goes wrong:"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check has found; ``wrong`` is empty when every promise was kept."""

    states: int
    transitions: int
    worlds: int
    played: int
    courses: int
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
        """Until everything was seen or something is wrong."""
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
        """From the drop of the datasets to this state."""
        states = [state]
        while (parent := self.parents[states[-1]]) is not None:
            states.append(parent)
        return tuple(reversed(states))

    def _story(self, state: State) -> tuple[str, ...]:
        way = told(self.universe, self.way_to(state))
        node, workers = state
        if node.wrong or any(workers):
            return way
        course = self.fairness.course(node)
        return (*way, CALM, *(course if course.wrong else self.fairness.smooth(node)).steps)

    def _wrong(self, state: State) -> str:
        node, workers = state
        if node.wrong or any(workers):
            return node.wrong
        return self.fairness.wrong(node)

    def _found(self, wrong: str, steps: tuple[str, ...], *, complete: bool) -> Found:
        return Found(
            states=len(self.parents),
            transitions=self.transitions,
            worlds=self.universe.worlds,
            played=self.universe.stage.played,
            courses=self.fairness.courses,
            seconds=monotonic() - self._began,
            complete=complete,
            wrong=wrong,
            steps=steps,
        )
