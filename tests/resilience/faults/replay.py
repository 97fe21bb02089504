"""Schedules that broke a promise: made small, kept in a file, and run again for ever."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.resilience.faults.decisions import Decisions, Dice, Made, Script, made_of, told
from tests.resilience.faults.schedule import Outcome, Schedule

FIXTURES = Path(__file__).parent / "fixtures"
type Choice = tuple[str, int, int]


def by_seed(seed: int) -> Outcome:
    """The schedule of a seed."""
    return Schedule(Decisions(Dice(seed))).run()


def by_decisions(made: Mapping[str, Mapping[int, int]]) -> Outcome:
    """The schedule of a list of decisions."""
    return Schedule(Decisions(Script(made))).run()


def of_file(path: Path) -> Outcome:
    """The schedule of a fixture."""
    return by_decisions(made_of(json.loads(path.read_text())["decisions"]))


def shrunk(made: Made, still: Callable[[Outcome], bool], *, most: int = 2000) -> Made:
    """As few of these decisions as do the same, after so many tries at the most.

    ``still`` says whether an outcome is the one that is looked for.
    """
    choices, tries, before = told(made), 0, 0
    while len(choices) != before:
        before, size = len(choices), max(len(choices) // 2, 1)
        while size:
            at = 0
            while at < len(choices) and tries < most:
                fewer = choices[:at] + choices[at + size :]
                tries += 1
                if still(by_decisions(made_of(fewer))):
                    choices = fewer
                else:
                    at += size
            size //= 2
    return made_of(choices)


def save(name: str, outcome: Outcome, folder: Path = FIXTURES) -> Path:
    """A file that says what went wrong and has every decision that led there."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    rows = ",\n".join(f"    {json.dumps(choice)}" for choice in told(outcome.made))
    wrong = json.dumps(outcome.wrong, indent=2).replace("\n", "\n  ")
    path.write_text(f'{{\n  "wrong": {wrong},\n  "decisions": [\n{rows}\n  ]\n}}\n')
    return path


def same_kind(wrong: Sequence[str]) -> Callable[[Outcome], bool]:
    """Whether an outcome breaks the first of these promises too, of whatever job."""
    kind = _kind(wrong[0])
    return lambda outcome: any(_kind(each) == kind for each in outcome.wrong)


def _kind(promise: str) -> str:
    """A broken promise without what is particular to this job."""
    return " ".join(word for word in promise.split() if not any(map(str.isdigit, word)))
