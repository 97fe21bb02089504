"""Every test run is a canary run: what is logged, sent and published is searched for secrets.

The recorders below are installed before the first handler is imported, and stay until the session ends.
"""

import json
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple
from functools import wraps
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from botocore.client import BaseClient

from lora_drop.adapters import faces
from lora_drop.jobs import ids as tokens
from tests.security.canary.canary_values import CanaryScan, Hit, Kind, Place
from tests.security.canary.embeddings import Embeddings

# In Lambda the root logger is at WARNING; ours says more.
OURS = ("lora-drop", "lora_drop", "functions")
REPORTS, OWNERS = (
    ("report.html", "report.json"),
    ("status.json", "job.json", "ERROR.txt", "latest.json"),
)
SENT: Mapping[str, str] = {
    "SendMessage": "MessageBody",
    "SendMessageBatch": "Entries",
    "PutEvents": "Entries",
    "Publish": "Message",
    "PutMetricData": "MetricData",
}


class Watch:
    """Everything that was written in this session, counted by place, and each canary in a wrong place."""

    def __init__(self) -> None:
        self.scan = CanaryScan()
        self.seen: Counter[Place] = Counter()
        self.hits: list[Hit] = []
        self.test = ""

    def look(self, text: str, place: Place, *, secrets_alone: bool = False) -> None:
        """Search a text: a line of a log, a message, a file."""
        self.seen[place] += 1
        for kind, canary, around in self.scan.found(text, place):
            if kind in (Kind.SECRET, Kind.EMBEDDING) or not secrets_alone:
                self.hits.append(Hit(kind, canary, place, self.test, around))

    def lines(self, text: str, *, secrets_alone: bool = False) -> None:
        """Search an output line by line."""
        for line in text.splitlines():
            self.look(line, Place.LOG, secrets_alone=secrets_alone)

    def summary(self) -> str:
        """Return how much was searched, in one line."""
        counted = ", ".join(f"{self.seen[place]:,} {place}" for place in Place)
        return f"canaries: {counted} scanned; {len(self.hits)} hits"


def install(watch: Watch) -> None:
    """Record all output, from before the first handler is imported until the session ends."""
    _log_records(watch)
    _captured(watch)
    _handlers(watch)
    _aws_calls(watch)
    _tokens(watch)
    _embeddings(watch)


def _replace(owner: Any, name: str, by: Callable[..., Any]) -> None:
    setattr(owner, name, by)


def _log_records(watch: Watch) -> None:
    pass_on = logging.Logger.callHandlers

    def handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING or record.name.startswith(OURS):
            for text in _texts(record):
                watch.look(text, Place.LOG)
        pass_on(logger, record)

    _replace(logging.Logger, "callHandlers", handlers)


def _texts(record: logging.LogRecord) -> Iterator[str]:
    """Return a record's message with its fields, and its whole traceback."""
    known = logging.makeLogRecord({}).__dict__
    extra = {name: value for name, value in record.__dict__.items() if name not in known}
    yield f"{record.getMessage()} {extra}"
    if record.exc_info and record.exc_info[1]:
        yield "".join(traceback.format_exception(record.exc_info[1]))


def _captured(watch: Watch) -> None:
    """Record what a test reads of its output; what it leaves is in pytest's own report."""
    read = pytest.CaptureFixture.readouterr

    def readouterr(fixture: pytest.CaptureFixture[str]) -> Any:
        captured = read(fixture)
        for text in (captured.out, captured.err):
            if isinstance(text, str):
                watch.lines(text, secrets_alone=not is_of_functions(watch.test))
        return captured

    _replace(pytest.CaptureFixture, "readouterr", readouterr)


def is_of_functions(test: str) -> bool:
    """Whether a test prints what a function prints; what the command prints is for the owner."""
    return test.startswith("tests/handlers/")


def _handlers(watch: Watch) -> None:
    """Record what a handler raises: Lambda writes it into the log."""
    inject = Logger.inject_lambda_context

    def watched(logger: Logger, *arguments: Any, **options: Any) -> Any:
        decorated = inject(logger, *arguments, **options)
        if not arguments:
            return decorated  # it comes back here with the handler

        @wraps(decorated)
        def call(event: Any, context: Any) -> Any:
            try:
                return decorated(event, context)
            except Exception as error:
                watch.look("".join(traceback.format_exception(error)), Place.EXCEPTION)
                raise

        return call

    _replace(Logger, "inject_lambda_context", watched)


def _aws_calls(watch: Watch) -> None:
    call = BaseClient._make_api_call  # type: ignore[attr-defined]  # every call goes through it

    def watched(client: BaseClient, operation: str, arguments: Mapping[str, Any]) -> Any:
        if operation in SENT:
            body = json.dumps(arguments.get(SENT[operation]), default=str)
            watch.look(body, Place.INBOX if _is_notice(body) else Place.MESSAGE)
        name = str(arguments.get("Key", "")).rsplit("/", 1)[-1]
        if operation == "PutObject" and name in (*REPORTS, *OWNERS):
            body = arguments["Body"]
            text = body.decode() if isinstance(body, bytes) else str(body)
            watch.look(text, Place.REPORT if name in REPORTS else Place.PUBLIC)
        return call(client, operation, arguments)

    _replace(BaseClient, "_make_api_call", watched)


def _is_notice(body: str) -> bool:
    return "eventName" in body and "s3" in body


def _tokens(watch: Watch) -> None:
    make = tokens.webhook_token

    def webhook_token(secret: bytes, job_id: str) -> str:
        token = make(secret, job_id)
        watch.scan.add(token)
        return token

    _replace(tokens, "webhook_token", webhook_token)


def _embeddings(watch: Watch) -> None:
    """Remember every embedding that the recognizer makes, as it comes from the model and as it is compared."""
    make = faces._embedding

    def embedding(recognizer: Any, crop: bytes) -> Any:
        made = make(_Recognizer(recognizer, watch.scan.embeddings), crop)
        watch.scan.embeddings.add(made)
        return made

    _replace(faces, "_embedding", embedding)


class _Recognizer:
    """The model, whose answers are remembered."""

    def __init__(self, model: Any, embeddings: Embeddings) -> None:
        self._model, self._embeddings = model, embeddings

    def run(self, *arguments: Any) -> Any:
        """As the model's own."""
        outputs = self._model.run(*arguments)
        self._embeddings.add(outputs[0].ravel())
        return outputs


WATCH = Watch()
SHOWN = 20
install(WATCH)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Remember the test that writes what comes next."""
    WATCH.test = nodeid


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what a test left of its output; a failed test shows its variables, and is not searched.

    A report that comes from a worker of pytest-xdist (it has a ``node``) was searched there.
    """
    if not report.failed and not hasattr(report, "node"):
        for name, text in report.sections:
            if "log" not in name:  # those were recorded as log records
                WATCH.lines(text, secrets_alone=not is_of_functions(report.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist has counted and found."""
    seen, hits = getattr(node, "workeroutput", {}).get("canaries", ({}, ()))
    WATCH.seen.update({Place(place): count for place, count in seen.items()})
    WATCH.hits += [
        Hit(Kind(kind), canary, Place(place), test, around)
        for kind, canary, place, test, around in hits
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session when a canary was found; a worker of pytest-xdist hands over what it has."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        seen = {place.value: count for place, count in WATCH.seen.items()}
        output["canaries"] = (seen, [tuple(map(str, astuple(hit))) for hit in WATCH.hits])
    elif WATCH.hits and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much was searched, and each hit."""
    terminalreporter.write_line(WATCH.summary())
    for hit in WATCH.hits[:SHOWN]:
        terminalreporter.write_line(f"  {hit}", red=True)
