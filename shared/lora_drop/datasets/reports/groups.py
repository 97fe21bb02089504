"""Problems and changes by their code, so that thirty photos with one trouble are one thing to read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from lora_drop.datasets.codes import MEANINGS, rank
from lora_drop.datasets.report import ReportedChange
from lora_drop.datasets.reports.markup import Html, joined, tag
from lora_drop.datasets.reports.wording import Anchors, counted, first_sentence, sentence
from lora_drop.jobs.problems import Problem

SHOWN = 3  # cases of a group before one has to ask for the others

type Told = Problem | ReportedChange


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


def group_item(group: Group, anchors: Anchors, shown: int = SHOWN) -> Html:
    """One group as an item of a list; so many of its cases are seen at once."""
    if len(group.cases) == 1:
        body = _one(group.cases[0], anchors)
    else:
        count = tag("span", group.count, class_="count")
        body = joined((tag("h3", group.heading, " ", count), _several(group.cases, anchors, shown)))
    return tag("li", body, tag("code", group.code), class_="group")


def shared_end(messages: Sequence[str]) -> str:
    """The sentences with which all of them end, behind the first sentence of each; often none."""
    letters = zip(*(reversed(message) for message in messages), strict=False)
    common = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, letters))
    _, found, end = common[::-1].partition(". ")
    return end if found else ""


def _one(told: Told, anchors: Anchors) -> Html:
    """The first sentence, which says what is wrong, above the others, which say what to do."""
    first, others = first_sentence(told.message, told.member)
    heading = tag("h3", sentence(first.removesuffix("."), told.member, anchors))
    return joined((heading, tag("p", others) if others else None))


def _several(cases: Sequence[Told], anchors: Anchors, shown: int) -> Html:
    """What all of them say once, and what each says by itself."""
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
