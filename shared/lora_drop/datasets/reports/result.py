"""``report.html`` of a job that has its LoRA: the result on top, the check's report below it."""

import re
from collections.abc import Iterator

from lora_drop.datasets.report import Verdict
from lora_drop.datasets.reports.markup import Html, counted, dollars, joined, shown, tag
from lora_drop.datasets.reports.page import document, sign
from lora_drop.fal.inference import (
    WEIGHTS_NAME,
    diffusers_program,
    fal_program,
    inference_of,
    prompt_with,
)
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.job import Job
from lora_drop.jobs.proof import PROOF_FOLDER, PROOF_PAGE

# The structure of our own page; names and captions in it are escaped and hold no tag.
HEADER = re.compile(r"<header>.*?</header>", re.DOTALL)
TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
MAIN = "<main>"


def result_page(job: Job, checked: str | None) -> str:
    """Return the page of a job that has succeeded; ``checked`` is the page that its check wrote, if it is there."""
    header = tag("header", _band(job), tag("dl", *_facts(job), class_="dataset"))
    title = f"{_headline(job)} ({job.dataset.key.rsplit('/', 1)[-1]})"
    if checked is None or not HEADER.search(checked) or MAIN not in checked:
        return document(title, header, tag("main", _use(job), _parameters(job)), _footer(job))
    page = HEADER.sub(lambda _: header.text, checked, count=1)
    page = TITLE.sub(lambda _: tag("title", title).text, page, count=1)
    return page.replace(MAIN, MAIN + _use(job).text, 1)


def _headline(job: Job) -> str:
    return f"Trained: {counted(job.images, 'photo')}" if job.images else "Trained"


def _band(job: Job) -> Html:
    words = [tag("p", each) for each in (_phrase_words(job), _cost_words(job))]
    return tag(
        "div",
        sign(Verdict.ACCEPTED),
        tag("div", tag("h1", _headline(job)), *words),
        class_="verdict accepted",
    )


def _phrase(job: Job) -> str:
    values = job.parameters.values if job.parameters else {}
    return str(values.get(TRIGGER_PHRASE) or "")


def _phrase_words(job: Job) -> str:
    phrase = _phrase(job)
    return f"Trigger phrase: {phrase}" if phrase else "It has no trigger phrase."


def _cost_words(job: Job) -> str:
    """Return what the job cost, with what its earlier submissions cost."""
    if job.duplicate_of:
        return f"Nothing was paid: the same was trained before, as {job.duplicate_of}."
    if job.charge is None:
        return "It is not known what it cost."
    lost = sum(each.usd for each in job.past_charges)
    earlier = f", and {dollars(lost)} for submissions before it that came to nothing"
    return f"It cost {dollars(job.charge.usd)}{earlier if lost else ''}."


def _facts(job: Job) -> Iterator[Html]:
    weights = job.weights
    rows = {
        "Trigger phrase": _phrase(job),
        "LoRA": weights.name if weights else "",
        "Trainer": job.application,
        "Steps": f"{job.parameters.steps:,}" if job.parameters else "",
        "Cost": dollars(job.charge.usd) if job.charge else "",
        "Retry of": job.retry_of or "",
    }
    for name, value in rows.items():
        if value:
            yield tag("div", tag("dt", name), tag("dd", value))


def _use(job: Job) -> Html:
    """Return how the LoRA is fetched and used."""
    phrase = _phrase(job)
    fetch = tag("li", "Fetch it: ", tag("code", f"lora-drop download {job.job_id}"))
    load = tag(
        "li",
        "Load ",
        tag("code", job.weights.name if job.weights else "lora.safetensors"),
        f" as a LoRA of the base model that {job.application} trains, at a strength of 1 to begin with.",
    )
    prompt = (
        tag("li", "Write the trigger phrase in each prompt: ", tag("q", prompt_with(phrase)))
        if phrase
        else None
    )
    steps = [each for each in (fetch, load, prompt, _proof(job)) if each]
    programs = _programs(job, phrase)
    return tag("section", tag("h2", "How to use the LoRA"), tag("ol", *steps), *programs, id="use")


def _proof(job: Job) -> Html | None:
    """Return where the proof sheet lies; its pictures are made after this page."""
    if job.proof is None or job.proof.note:
        return None
    place = f"{PROOF_FOLDER}/{PROOF_PAGE}"
    words = "Look at its proof sheet, once the pictures are made: "
    return tag("li", words, tag("a", place, href=place))


def _programs(job: Job, phrase: str) -> Iterator[Html]:
    """Yield the programs that `lora-drop usage` prints, for the file that was fetched."""
    inference = inference_of(job.application)
    if inference is None:
        return
    file = f"{job.job_id}/{job.weights.name if job.weights else WEIGHTS_NAME}"
    for title, program in (
        ("At fal, in Python:", fal_program(inference, phrase, file=file)),
        ("With diffusers, on your own GPU:", diffusers_program(inference, phrase, file=file)),
    ):
        lines = [joined((line, Html("\n"))) for line in program.splitlines()]
        yield tag("p", title)
        yield tag("pre", tag("code", *lines))


def _parameters(job: Job) -> Html | None:
    if job.parameters is None:
        return None
    rows = [
        tag("tr", tag("th", tag("code", name), scope="row"), tag("td", shown(value)))
        for name, value in job.parameters.values.items()
    ]
    return tag(
        "section",
        tag("h2", "Parameters"),
        tag("table", tag("tbody", *rows)),
        id="parameters",
    )


def _footer(job: Job) -> Html:
    return tag("footer", joined([tag("p", "Job ", tag("code", job.job_id))]))
