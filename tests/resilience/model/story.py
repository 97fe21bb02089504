"""A way through the states as a person reads it: one line a step."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.resilience.model.rehearsal import Local
from tests.resilience.model.universe import DIES, State, Step, Universe, number


def told(universe: Universe, states: Sequence[State]) -> tuple[str, ...]:
    """Who did what, and what came of it; workers keep their names, wherever they are sorted."""
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
    """The one that stands where nobody stood."""
    left = list(has)
    for local in had.values():
        if local in left:
            left.remove(local)
    return left[0] if left else None
