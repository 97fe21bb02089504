"""The real handlers, each worker a module of its own as each execution environment has it."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
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
from tests.support.lambda_environment import Context

NAMES = ("submit", "webhook", "store", "reconcile", "jobs")
CONTEXT = Context()
# What uses threads; in one life there is one order of things.
THREADED = (copy, download_reads)


class Inline(Executor):
    """An executor that does things at once: what is fetched ahead is an effect like any other."""

    def __init__(self, _: int = 1) -> None:
        """As ThreadPoolExecutor."""

    def submit[**P, R](
        self, fn: Callable[P, R], /, *arguments: P.args, **named: P.kwargs
    ) -> Future[R]:
        """Done when it returns."""
        future = Future[R]()
        try:
            future.set_result(fn(*arguments, **named))
        except Exception as error:  # noqa: BLE001  # for the caller of result()
            future.set_exception(error)
        return future


@cache
def load_handler(name: str, number: int) -> ModuleType:
    """The handler of this function, loaded once for each number: workers share nothing."""
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


def call(name: str, event: Mapping[str, Any], world: object | None, *, number: int = 0) -> Any:
    """A function's answer to an event; ``world`` stands in the place of its bootstrap, if any."""
    module = load_handler(name, number)
    own = module.own_bootstrap
    vars(module)["bootstrap"] = own if world is None else lambda: world
    return module.handler(dict(event), CONTEXT)


def reset_handlers() -> None:
    """No function remembers anything of an earlier life."""
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
    """No log is written and no metric printed; what would use threads does not."""
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


def api_event(
    method: str,
    path: str,
    body: str | None = None,
    headers: Mapping[str, list[str]] | None = None,
    caller: str | None = None,
) -> dict[str, Any]:
    """A request as API Gateway's REST API hands it on."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in (headers or {}).items()},
        "multiValueHeaders": dict(headers or {}),
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "1234567890",
            "httpMethod": method,
            "identity": {"sourceIp": "127.0.0.1", "userArn": caller},
            "path": f"/live{path}",
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "resourcePath": path,
            "stage": "live",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def schedule_event() -> dict[str, Any]:
    """EventBridge's tick."""
    return {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/reconcile"],
        "detail": {},
    }


class Worker:
    """A function on a thread of its own that runs only while its owner waits for it."""

    _idle: list["Worker"] = []  # noqa: RUF012  # threads are reused by all

    def __init__(self) -> None:
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._work: Callable[[Worker], None] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, daemon=True, name="strand")
        self._thread.start()

    @classmethod
    def begin(cls, work: Callable[["Worker"], None]) -> "Worker":
        """A worker that will do this when it is resumed; the work never raises."""
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
        """Called by the work: stand still until resumed."""
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
