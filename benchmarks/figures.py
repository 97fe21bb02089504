"""What a measurement is here: a figure with its runs, its ratio to another one, and the goal of that."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """``most`` for the median of a figure, or for its ratio to a peer's where it has one; ``least`` where more is better."""

    most: float | None = None
    least: float | None = None

    def __str__(self) -> str:
        return f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"

    def holds(self, value: float) -> bool:
        """Tell whether this value reaches it."""
        return (self.most is None or value <= self.most) and (
            self.least is None or value >= self.least
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity.

    ``key`` names it for ever (``copy.full.145.ours.seconds``: the topic comes first); ``says`` is its line in the table;
    ``runs`` are its values in the order in which they were measured; ``peer`` is the key of the figure that it is divided by,
    of the same call; ``why`` says where the time goes where the goal does not hold.
    """

    key: str
    says: str
    unit: Literal[
        "s",
        "ms",
        "MB",
        "MiB",
        "MB/s",
        "calls",
        "requests",
        "jobs/s",
        "$",
        "exponent",
        "%",
        "count",
        "ratio",
    ]
    runs: tuple[float, ...]
    peer: str = ""
    goal: Goal | None = None
    why: str = ""

    @property
    def median(self) -> float:
        """The median of its runs."""
        return statistics.median(self.runs)


@dataclass(frozen=True, slots=True)
class Topic:
    """The figures of one part, in the order of its table, and what has to be known of how they were measured."""

    name: str
    title: str
    how: str
    figures: Sequence[Figure]

    def ratio(self, figure: Figure) -> float | None:
        """Return how many times the peer's median a figure's is; None without a peer."""
        peers = {each.key: each for each in self.figures}
        return figure.median / peers[figure.peer].median if figure.peer else None

    def holds(self, figure: Figure) -> bool | None:
        """Tell whether the goal of a figure holds; None without a goal."""
        if figure.goal is None:
            return None
        ratio = self.ratio(figure)
        return figure.goal.holds(figure.median if ratio is None else ratio)

    def as_json(self, date: str, seconds: float) -> Mapping[str, object]:
        """Return it as ``results.json`` has it; ``date`` and ``seconds`` are of its measurement."""
        return {
            "title": self.title,
            "how": self.how,
            "date": date,
            "seconds": round(seconds, 1),
            "figures": {
                each.key: {
                    "says": each.says,
                    "unit": each.unit,
                    "median": _rounded(each.median),
                    "min": _rounded(min(each.runs)),
                    "max": _rounded(max(each.runs)),
                    "runs": len(each.runs),
                    **({"peer": each.peer} if each.peer else {}),
                    **({"ratio": _rounded(self.ratio(each) or 0.0)} if each.peer else {}),
                    **({"goal": str(each.goal), "holds": self.holds(each)} if each.goal else {}),
                    **({"why": each.why} if each.why else {}),
                }
                for each in self.figures
            },
        }


def _rounded(value: float) -> float:
    """Four significant digits: more is noise."""
    return float(f"{value:.4g}")
