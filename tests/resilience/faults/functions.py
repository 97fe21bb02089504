"""The real handlers, each worker a module of its own as each execution environment has it."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any
from unittest.mock import patch

from aws_lambda_powertools.metrics.provider.cloudwatch_emf import cloudwatch
from aws_lambda_powertools.utilities.parameters import clear_caches

from lora_drop.adapters import download_reads
from lora_drop.services import copy
from tests import conftest  # noqa: F401  # Powertools reads its names from the environment
from tests.support.inline import Inline
from tests.support.lambda_environment import Context, event

NAMES = ("submit", "webhook", "store", "reconcile", "jobs")
CONTEXT = Context()
# What uses threads; in one life there is one order of things.
THREADED = (copy, download_reads)


@cache
def load_handler(name: str, number: int) -> ModuleType:
    """Return a function's handler, loaded once for each number: workers share nothing."""
    found = find_spec(f"functions.{name}.handler")
    assert found is not None
    assert found.origin
    spec = spec_from_file_location(f"chaos_{name}_{number}", found.origin)
    assert spec is not None
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic and dataclasses look their module up
    spec.loader.exec_module(module)
    module.logger.exception = _logged
    vars(module)["own_bootstrap"] = module.bootstrap
    return module


def call(name: str, given: Mapping[str, Any], world: object | None, *, number: int = 0) -> Any:
    module = load_handler(name, number)
    own = module.own_bootstrap
    vars(module)["bootstrap"] = own if world is None else lambda: world
    return module.handler(dict(given), CONTEXT)


def reset_handlers() -> None:
    clear_caches()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
    for name in NAMES:
        load_handler(name, 0).own_bootstrap.cache_clear()


# The errors that functions have logged instead of raising them.
swallowed: list[BaseException] = []


def _logged(*_: object, **__: object) -> None:
    error = sys.exception()
    if error is not None:
        swallowed.append(error)


@contextmanager
def quietly() -> Iterator[None]:
    """Write no log and no metric, and run what would use threads in this one."""
    threaded = [(module, module.ThreadPoolExecutor) for module in THREADED]
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    for module, _ in threaded:
        vars(module)["ThreadPoolExecutor"] = Inline
    try:
        with patch.object(cloudwatch, "print", lambda _: None, create=True):
            yield
    finally:
        for module, executor in threaded:
            vars(module)["ThreadPoolExecutor"] = executor
        logging.disable(disabled)


committed = cache(event)


def api_event(
    method: str,
    path: str,
    body: str | None = None,
    headers: Mapping[str, list[str]] | None = None,
    caller: str | None = None,
) -> dict[str, Any]:
    base = committed("jobs_list")
    context = {**base["requestContext"], "httpMethod": method, "path": f"/live{path}"}
    context["identity"] = {"sourceIp": "127.0.0.1", "userArn": caller}
    nothing = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters")
    return {
        **base,
        **dict.fromkeys(nothing),
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in (headers or {}).items()},
        "multiValueHeaders": dict(headers or {}),
        "requestContext": context,
        "body": body,
    }


class Worker:
    """A thread that runs a function only while its owner waits for it."""

    _idle: list["Worker"] = []  # noqa: RUF012  # threads are reused by all

    def __init__(self) -> None:
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._work: Callable[[Worker], None] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, daemon=True, name="worker")
        self._thread.start()

    @classmethod
    def begin(cls, work: Callable[["Worker"], None]) -> "Worker":
        """Return a worker that does this when it is resumed; the work never raises."""
        worker = cls._idle.pop() if cls._idle else cls()
        worker._work = work
        return worker

    def resume(self, error: BaseException | None = None) -> bool:
        """Let it run until it pauses (True) or is done; with an error, that is raised in it first."""
        self._error = error
        self._go.release()
        self._back.acquire()
        if self._work is not None:
            return True
        self._idle.append(self)
        return False

    def pause(self) -> None:
        self._back.release()
        self._go.acquire()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _live(self) -> None:
        while True:
            self._go.acquire()
            work = self._work
            assert work is not None
            work(self)
            self._work = None
            self._back.release()
