"""What an error advises, in the words of Python: the same that the command says in its own."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from lora_drop.jobs.errors import LoraDropError

METHODS: Mapping[str, str] = {
    "approve": "approve()",
    "cancel": "cancel()",
    "retry": "retry()",
    "watch": "events()",
    "job": "problems",
}
ID = r"(?P<id>[A-Za-z0-9_-]+)"


def _job(match: re.Match[str]) -> str:
    return "job" if match["id"] == "JOB" else f"drop.job({match['id']!r})"


def _dataset(match: re.Match[str]) -> str:
    [key] = shlex.split(match["key"])
    return f"drop.jobs(dataset={key!r})"


# The first that fits counts, so that the longer forms come first.
WORDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"metadata force=true( \(lora-drop train PATH --force\))?"),
        lambda _: "force_retrain=True",
    ),
    (
        re.compile(rf"lora-drop retry {ID} --resume"),
        lambda match: f"{_job(match)}.retry(resume=True)",
    ),
    (
        re.compile(rf"lora-drop (?P<verb>{'|'.join(METHODS)}) {ID}"),
        lambda match: f"{_job(match)}.{METHODS[match['verb']]}",
    ),
    (re.compile(r"lora-drop jobs --dataset (?P<key>'.*?'(?!\S*')|\S+?)(?=[.,;]?(\s|$))"), _dataset),
    (re.compile(r"lora-drop jobs\b"), lambda _: "drop.jobs()"),
    (re.compile(r"--stack (?P<name>[A-Za-z0-9-]+)"), lambda m: f'LoraDrop("{m["name"]}")'),
    (re.compile(r"run the same command\b"), lambda _: "make the same call"),
    (re.compile(r"the same command\b"), lambda _: "the same call"),
)


def in_python(text: str) -> str:
    """Return a text with Python's calls where it names commands that are methods here; others stay as they are."""
    for words, call in WORDS:
        text = words.sub(call, text)
    return text


@contextmanager
def method_advice() -> Iterator[None]:
    """Say in the words of Python what an error of the block advises; it is the same error otherwise."""
    try:
        yield
    except LoraDropError as error:
        error.args = tuple(
            in_python(each) if isinstance(each, str) else each for each in error.args
        )
        raise
