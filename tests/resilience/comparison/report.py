"""The measurements as Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

PIPELINES = ("fal_client", "naive", "lora-drop")
LEGEND = """\
Cells: payments / POSTs that fal saw, and how many ids of paid requests are lost. *Once*: the fault
strikes the first attempt. *Always*: it stays for as long as the event is repeated, and half an hour
passes after that without it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one pipeline made of one fault; ``kept`` is the result, None where none was due."""

    what: str
    always: bool
    pipeline: str
    posts: int
    paid: int
    lost_ids: int
    says: str
    done: bool
    notified: bool
    kept: str | None = None

    @property
    def surplus(self) -> int:
        """Payments that were too many."""
        return max(0, self.paid - 1)

    @property
    def goes_on(self) -> bool:
        """Whether it knows a request that it paid for."""
        return self.paid > self.lost_ids

    @property
    def lost(self) -> bool:
        """Whether the LoRA is not there, or not whole."""
        return self.kept not in ("whole", None)

    @property
    def lies(self) -> bool:
        """Whether it says what is not so."""
        return self.kept is not None and self.done == self.lost


type Column = tuple[str, bool]
type Counts = Mapping[str, Callable[[Measured], int]]
COLUMNS: Sequence[Column] = [(name, always) for name in PIPELINES for always in (False, True)]
OF_OUTCOMES: Counts = {
    "payments too many": lambda each: each.surplus,
    "drops paid more than once": lambda each: each.paid > 1,
    "ids of paid requests lost": lambda each: each.lost_ids,
    "drops that go on by themselves": lambda each: each.goes_on,
    "drops that stop, and a person is notified": lambda each: not each.goes_on and each.notified,
    "drops that stop in an exception": lambda each: not each.goes_on and not each.notified,
    "... and had been paid": lambda each: not each.goes_on and not each.notified and each.paid > 0,
}
OF_ACCIDENTS: Counts = {
    "payments too many": lambda each: each.surplus,
    "results lost or spoilt": lambda each: each.lost,
    "jobs whose status is wrong": lambda each: each.lies,
}


def report(measured: Iterable[Measured]) -> str:
    """Four tables: the outcomes of the POST and their sums, the accidents and theirs."""
    every = list(measured)
    outcomes = [each for each in every if each.kept is None]
    accidents = [each for each in every if each.kept is not None]
    return "\n\n".join(
        (
            LEGEND,
            _outcomes(outcomes),
            _sums(outcomes, COLUMNS, OF_OUTCOMES),
            _accidents(accidents),
            _sums(accidents, [(name, False) for name in PIPELINES[1:]], OF_ACCIDENTS),
        )
    )


def _outcomes(measured: Sequence[Measured]) -> str:
    rows = []
    for what, group in groupby(measured, key=lambda each: each.what):
        cells = {(each.pipeline, each.always): _cell(each) for each in group}
        rows.append([what, *(cells[column] for column in COLUMNS)])
    return _table(["what becomes of the POST", *map(_name, COLUMNS)], rows)


def _cell(each: Measured) -> str:
    lost = f" ({each.lost_ids} lost)" if each.lost_ids else ""
    return f"{each.paid}/{each.posts}{lost}"


def _accidents(measured: Sequence[Measured]) -> str:
    rows = []
    for what, group in groupby(measured, key=lambda each: each.what):
        cells = [(str(each.paid), each.kept or "", each.says) for each in group]
        rows.append([what, *(cell for pipeline in cells for cell in pipeline)])
    names = [f"{name} {what}" for name in PIPELINES[1:] for what in ("paid", "LoRA", "says")]
    return _table(["accident", *names], rows)


def _sums(measured: Sequence[Measured], columns: Sequence[Column], counts: Counts) -> str:
    mine = {
        column: [each for each in measured if (each.pipeline, each.always) == column]
        for column in columns
    }
    rows = [
        [what, *(str(sum(count(each) for each in mine[column])) for column in columns)]
        for what, count in counts.items()
    ]
    drops = len(mine[columns[0]])
    modes = {always for _, always in columns}
    names = [_name(column) if len(modes) > 1 else column[0] for column in columns]
    return _table([f"of {drops} drops each", *names], rows)


def _name(column: Column) -> str:
    name, always = column
    return f"{name} {'always' if always else 'once'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
