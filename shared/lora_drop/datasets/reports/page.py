"""``report.html``: one page that needs nothing but itself, and the verdict at its top."""

import base64
import hashlib
import json
from collections.abc import Iterator

from lora_drop.datasets.report import ImageOutcome, Report, Verdict
from lora_drop.datasets.reports.face_words import face_words
from lora_drop.datasets.reports.markup import (
    SOURCES,
    Anchors,
    Child,
    Html,
    counted,
    dollars,
    joined,
    named,
    shown,
    size_of,
    tag,
)
from lora_drop.datasets.reports.sections import by_importance, group_item, groups_of
from lora_drop.datasets.reports.sheet import anchors_of, contact_sheet, is_photo
from lora_drop.datasets.reports.style import STYLE
from lora_drop.fal.trainers.parameters import ParameterSource

SIGNS = {Verdict.ACCEPTED: "M5 12.5l4.5 4.5L19 7.5", Verdict.REJECTED: "M7 7l10 10M17 7L7 17"}


def headline(report: Report) -> str:
    """Return the verdict in a line."""
    if report.verdict is Verdict.ACCEPTED:
        return f"Ready to train: {counted(report.images, 'photo')}"
    return "Not sent to training" if report.job_id else "Cannot be trained on yet"


def verdict(report: Report) -> Html:
    """Return the verdict, what it means for one's money, and the facts of the dataset."""
    words = [tag("p", each) for each in _words(report)]
    band = tag(
        "div",
        sign(report.verdict),
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
    if outcomes := _outcomes(report):
        yield f"{outcomes} Your own files stay as they are."


def _outcomes(report: Report) -> str:
    outcomes = [photo.fate for photo in report.photos if is_photo(photo)]
    mended, dropped = outcomes.count(ImageOutcome.MENDED), outcomes.count(ImageOutcome.DROPPED)
    parts = [(mended, "mended"), (dropped, "left out")]
    words = [
        f"{counted(number, 'photo')} {_was(number)} {what}" for number, what in parts if number
    ]
    return f"{' and '.join(words)}." if words else ""


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _facts(report: Report) -> Iterator[tuple[str, Html | str]]:
    yield "Dataset", named(report.file)
    if report.size:
        yield "Size", size_of(report.size)
    if report.photos:
        good = f"{report.images:,} of {sum(map(is_photo, report.photos)):,}"
        yield "Photos to train on", good
    if faces := face_words(report):
        yield "Faces", f"{faces[0].upper()}{faces[1:]}"
    if report.trainer:
        yield "Trainer", report.trainer
    if report.preset:
        yield "Preset", report.preset
    if report.verdict is Verdict.ACCEPTED or report.estimated_cost_usd is not None:
        yield "Estimated cost", dollars(report.estimated_cost_usd)


def sign(of: Verdict) -> Html:
    """Return the sign of a verdict."""
    path = tag("path", d=SIGNS[of])
    return tag("svg", path, viewBox="0 0 24 24", class_="sign", aria_hidden="true")


def html_text(report: Report) -> str:
    """Return ``report.html``: one file without scripts that fetches nothing, for a phone, a screen, paper."""
    anchors = anchors_of(report.photos)
    body = (
        tag("header", verdict(report)),
        tag(
            "main",
            _errors(report, anchors),
            _warnings(report, anchors),
            contact_sheet(report.photos),
            _changes(report, anchors),
            _training(report),
        ),
        tag("footer", _small_print(report)),
    )
    return document(f"{headline(report)} ({report.file})", *body)


def document(title: str, *body: Child, style: str = STYLE) -> str:
    """Return a whole page, which needs nothing but itself."""
    page = tag("html", _head(title, style), tag("body", *body), lang="en")
    return f"<!doctype html>\n{page.text}\n"


def json_text(report: Report) -> str:
    """Return ``report.json``: everything but the thumbnails, as docs/report.schema.json describes it.

    What no UTF-8 can hold (half a surrogate pair, from a file's name here) becomes a question mark.
    """
    written = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return written.encode(errors="replace").decode() + "\n"


def _policy(style: str) -> str:
    """Return the page's policy, also for a name that got past the escaping: no script, no request, one style sheet.

    Content Security Policy Level 3, 6.1 and 2.3.1.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{digest}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _head(title: str, style: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(style)),
    )


def _errors(report: Report, anchors: Anchors) -> Html | None:
    groups = by_importance(groups_of(report.errors))
    if not groups:
        return None
    items = [group_item(group, anchors) for group in groups]
    return tag("section", tag("h2", "What to do"), tag("ol", *items, class_="errors"), id="errors")


def _warnings(report: Report, anchors: Anchors) -> Html | None:
    groups = by_importance(groups_of(report.warnings))
    if not groups:
        return None
    trains = report.verdict is Verdict.ACCEPTED
    note = "None of this stops the training." if trains else "None of this stands in the way."
    items = [group_item(group, anchors) for group in groups]
    listed = tag("ul", *items, class_="warnings")
    return _section("What could be better", note, listed, place="warnings")


def _changes(report: Report, anchors: Anchors) -> Html | None:
    if changes := report.every_change:
        note = "In the copy that fal gets. Your own files stay as they are."
        # Nothing has to be done about these, so only what was done is shown, and the files on request.
        items = [group_item(group, anchors, shown=0) for group in groups_of(changes)]
        listed = tag("ul", *items, class_="changes")
        return _section("What was changed", note, listed, place="changes")
    if report.verdict is Verdict.REJECTED:
        return None
    note = "Nothing: fal gets your photos as they are, byte for byte."
    return _section("What was changed", note, place="changes")


def _training(report: Report) -> Html | None:
    if not report.parameters:
        return None
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Name", "Value", "Set by")))
    rows = [
        tag(
            "tr",
            tag("th", tag("code", each.name), scope="row"),
            tag("td", shown(each.value)),
            tag("td", _source(report, each.source)),
        )
        for each in report.parameters
    ]
    note = (
        "Defaults give way to the preset, the preset to training.json, and that to the metadata of "
        "the upload."
    )
    table = tag("table", tag("thead", head), tag("tbody", *rows))
    return _section("Parameters", note, table, place="parameters")


def _source(report: Report, source: ParameterSource) -> str:
    name = SOURCES[source]
    by_preset = source is ParameterSource.PRESET and report.preset
    return f"{name} {report.preset}" if by_preset else name


def _section(title: str, note: str, *content: Child, place: str) -> Html:
    return tag("section", tag("h2", title), tag("p", note, class_="note"), *content, id=place)


def _small_print(report: Report) -> Html:
    read = f"{size_of(report.bytes_read)} in {counted(report.requests, 'request')}"
    lines = [
        tag("p", f"The check read {read} and took {report.seconds:.1f} seconds."),
        tag("p", "Job ", tag("code", report.job_id)) if report.job_id else None,
    ]
    return joined(lines)
