"""The top of the report: what comes of the dataset, in plain words."""

from collections.abc import Iterator

from lora_drop.datasets.report import ImageOutcome, Report, Verdict
from lora_drop.datasets.reports.groups import groups_of
from lora_drop.datasets.reports.markup import Html, joined, tag
from lora_drop.datasets.reports.sheet import is_photo
from lora_drop.datasets.reports.wording import counted, dollars, named, size_of

SIGNS = {Verdict.ACCEPTED: "M5 12.5l4.5 4.5L19 7.5", Verdict.REJECTED: "M7 7l10 10M17 7L7 17"}


def headline(report: Report) -> str:
    """The verdict in a line."""
    if report.verdict is Verdict.ACCEPTED:
        return f"Ready to train: {counted(report.images, 'photo')}"
    return "Not sent to training" if report.job_id else "Cannot be trained on yet"


def verdict(report: Report) -> Html:
    """The verdict, what it means for one's money, and the facts of the dataset."""
    words = [tag("p", each) for each in _words(report)]
    band = tag(
        "div",
        _sign(report.verdict),
        tag("div", tag("h1", headline(report)), *words),
        class_=f"verdict {report.verdict.value}",
    )
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(report)]
    return joined((band, tag("dl", *facts, class_="dataset")))


def _words(report: Report) -> Iterator[str]:
    if report.verdict is Verdict.REJECTED:
        if report.job_id:
            yield "Nothing was paid."
        then = "Then drop the ZIP again." if report.job_id else "Then check it again."
        things = len(groups_of(report.errors))
        if things == 1:
            yield f"One thing has to be mended. {then}"
        elif things:
            yield f"{things} things have to be mended, the most important first. {then}"
        return
    cost = report.estimated_cost_usd
    yield "The cost is not known." if cost is None else f"It costs about {dollars(cost)}."
    if told := _fates(report):
        yield f"{told} Your ZIP stays as it is."


def _fates(report: Report) -> str:
    fates = [photo.fate for photo in report.photos if is_photo(photo)]
    mended, dropped = fates.count(ImageOutcome.MENDED), fates.count(ImageOutcome.DROPPED)
    parts = [(mended, "mended"), (dropped, "left out")]
    told = [f"{counted(number, 'photo')} {_was(number)} {what}" for number, what in parts if number]
    return f"{' and '.join(told)}." if told else ""


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _facts(report: Report) -> Iterator[tuple[str, Html | str]]:
    yield "Dataset", named(report.file)
    if report.size:
        yield "Size", size_of(report.size)
    if report.photos:
        good = f"{report.images:,} of {sum(map(is_photo, report.photos)):,}"
        yield "Photos to train on", good
    if report.trainer:
        yield "Trainer", report.trainer
    if report.preset:
        yield "Preset", report.preset
    if report.verdict is Verdict.ACCEPTED or report.estimated_cost_usd is not None:
        yield "Estimated cost", dollars(report.estimated_cost_usd)


def _sign(of: Verdict) -> Html:
    path = tag("path", d=SIGNS[of])
    return tag("svg", path, viewBox="0 0 24 24", class_="sign", aria_hidden="true")
