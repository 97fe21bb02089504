"""Problems and changes by their code, so that thirty photos with one trouble are one thing to read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from shared.domain.codes import MEANINGS, rank
from shared.domain.problems import Problem
from shared.domain.report import ChangeMade
from shared.domain.reports.markup import Html, joined, tag
from shared.domain.reports.wording import Anchors, counted, sentence

SHOWN = 3  # cases of a group before one has to ask for the others

type Told = Problem | ChangeMade


@dataclass(frozen=True, slots=True)
class Group:
    """All that was found of one code, in the order in which it was found."""

    code: str
    cases: tuple[Told, ...]

    @property
    def heading(self) -> str:
        """What the code means; for one that nobody knows the code itself."""
        meaning = MEANINGS.get(self.code)
        return meaning.means.removesuffix(".") if meaning else self.code

    @property
    def count(self) -> str:
        """How many cases there are, as what they are: “3 photos”."""
        noun = {"image": "photo", "caption": "caption"}.get(self.code.partition("_")[0], "time")
        return counted(len(self.cases), noun)


def groups_of(told: Iterable[Told]) -> list[Group]:
    """A group for each code, in the order of the first of each."""
    found: dict[str, list[Told]] = {}
    for each in told:
        found.setdefault(each.code, []).append(each)
    return [Group(code, tuple(cases)) for code, cases in found.items()]


def by_importance(groups: Iterable[Group]) -> list[Group]:
    """What has to be mended first comes first."""
    return sorted(groups, key=lambda group: rank(group.code))


def group_item(group: Group, anchors: Anchors) -> Html:
    """One group as an item of a list."""
    several = len(group.cases) > 1
    count = tag("span", group.count, class_="count") if several else None
    heading = tag("h3", group.heading, " " if count else None, count)
    body = _several(group.cases, anchors) if several else _one(group.cases[0], anchors)
    return tag("li", heading, body, tag("code", group.code), class_="group")


def shared_end(messages: Sequence[str]) -> str:
    """The sentences with which all of them end, behind the first sentence of each; often none."""
    letters = zip(*(reversed(message) for message in messages), strict=False)
    common = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, letters))
    _, found, end = common[::-1].partition(". ")
    return end if found else ""


def _one(told: Told, anchors: Anchors) -> Html:
    return tag("p", sentence(told.message, told.member, anchors))


def _several(cases: Sequence[Told], anchors: Anchors) -> Html:
    """What all of them say once, and what each says by itself."""
    end = shared_end([case.message for case in cases])
    items = [
        tag("li", sentence(case.message.removesuffix(end).rstrip(), case.member, anchors))
        for case in cases
    ]
    # One more than is shown takes as much room as the word that there is one more.
    cut = SHOWN if len(items) > SHOWN + 1 else len(items)
    return joined(
        (
            tag("p", end) if end else None,
            tag("ul", *items[:cut], class_="cases"),
            _hidden(items[cut:]) if items[cut:] else None,
        )
    )


def _hidden(items: Sequence[Html]) -> Html:
    summary = tag("summary", f"Show {len(items):,} more")
    return tag("details", summary, tag("ul", *items, class_="cases"))
