"""Problems and changes by their code, as sections of the report.

Thirty photos with one problem are one thing to read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from lora_drop.datasets.problem_codes import MEANINGS, rank
from lora_drop.datasets.report import ReportedChange
from lora_drop.datasets.reports.markup import (
    Anchors,
    Html,
    counted,
    first_sentence,
    joined,
    sentence,
    tag,
)
from lora_drop.jobs.problems import Problem

type Case = Problem | ReportedChange

SHOWN = 3  # cases of a group that are shown at once


@dataclass(frozen=True, slots=True)
class Group:
    """All that was found of one code, in the order in which it was found."""

    code: str
    cases: tuple[Case, ...]

    @property
    def heading(self) -> str:
        """What the code means; the code itself where it is not known."""
        meaning = MEANINGS.get(self.code)
        return meaning.means.removesuffix(".") if meaning else self.code

    @property
    def count(self) -> str:
        """How many cases there are, as what they are: “3 photos”."""
        noun = {"image": "photo", "caption": "caption"}.get(self.code.partition("_")[0], "time")
        return counted(len(self.cases), noun)


def groups_of(cases: Iterable[Case]) -> list[Group]:
    """Return a group for each code, in the order of the first of each."""
    found: dict[str, list[Case]] = {}
    for each in cases:
        found.setdefault(each.code, []).append(each)
    return [Group(code, tuple(those)) for code, those in found.items()]


def by_importance(groups: Iterable[Group]) -> list[Group]:
    """Return the groups in the order in which they have to be mended."""
    return sorted(groups, key=lambda group: rank(group.code))


def group_item(group: Group, anchors: Anchors, shown: int = SHOWN) -> Html:
    """Return one group as an item of a list; so many of its cases are seen at once."""
    if len(group.cases) == 1:
        body = _one(group.cases[0], anchors)
    else:
        count = tag("span", group.count, class_="count")
        body = joined((tag("h3", group.heading, " ", count), _several(group.cases, anchors, shown)))
    return tag("li", body, tag("code", group.code), class_="group")


def shared_end(messages: Sequence[str]) -> str:
    """Return the sentences with which all of them end, behind the first sentence of each; often none."""
    letters = zip(*(reversed(message) for message in messages), strict=False)
    common = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, letters))
    _, found, end = common[::-1].partition(". ")
    return end if found else ""


def _one(case: Case, anchors: Anchors) -> Html:
    """Return the first sentence, which says what is wrong, above the others, which say what to do."""
    first, others = first_sentence(case.message, case.member)
    heading = tag("h3", sentence(first.removesuffix("."), case.member, anchors))
    return joined((heading, tag("p", others) if others else None))


def _several(cases: Sequence[Case], anchors: Anchors, shown: int) -> Html:
    """Return what all of them say once, and what each says by itself."""
    end = shared_end([case.message for case in cases])
    items = [
        tag("li", sentence(case.message.removesuffix(end).rstrip(), case.member, anchors))
        for case in cases
    ]
    # One more than is shown takes as much room as the word that there is one more.
    cut = shown if len(items) > shown + 1 else len(items)
    return joined(
        (
            tag("p", end) if end else None,
            tag("ul", *items[:cut], class_="cases") if cut else None,
            _hidden(items[cut:], "more" if cut else "files") if items[cut:] else None,
        )
    )


def _hidden(items: Sequence[Html], which: str) -> Html:
    summary = tag("summary", f"Show {len(items):,} {which}")
    return tag("details", summary, tag("ul", *items, class_="cases"))
