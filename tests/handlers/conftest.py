"""The real functions in the house the template describes, on moto; only the wire is not real."""

import io
import logging
import sys
from collections.abc import Iterator

import httpx
import pytest
from aws_lambda_powertools.utilities.parameters import clear_caches

from functions.forget import handler as forget
from functions.jobs import handler as jobs
from functions.reconcile import handler as reconcile
from functions.store import handler as store
from functions.submit import handler as submit
from functions.webhook import handler as webhook
from shared.bootstrap import SubmitBootstrap
from tests.aws import moto
from tests.house import House, Internet
from tests.memory import ManualClock
from tests.pictures import BlindPictures

HANDLERS = (submit, webhook, store, reconcile, jobs, forget)


class _Stdout(io.TextIOBase):
    """Standard output as it is now: the loggers were made when it was another."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)


for _output in logging.getLogger("lora-drop").handlers:
    assert isinstance(_output, logging.StreamHandler)
    _output.stream = _Stdout()


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    """fal, its keys and its CDN; httpx reaches nobody else."""
    world = Internet()
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: world.answer(request)
    )
    return world


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The functions' clock; it stands at the time of the events."""
    standing = ManualClock()
    monkeypatch.setattr("shared.bootstrap.utc_now", standing)
    return standing


@pytest.fixture
def house(
    monkeypatch: pytest.MonkeyPatch,
    internet: Internet,
    clock: ManualClock,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[House]:
    """Everything a function finds around it, freshly made."""
    _start_anew()
    with moto() as aws:
        # The photos of the drops have no pixels.
        monkeypatch.setattr(SubmitBootstrap, "pictures", BlindPictures())
        made = House(aws, internet, clock, capsys)
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        yield made
    _start_anew()


def _start_anew() -> None:
    """What a function keeps between two calls is gone."""
    clear_caches()  # type: ignore[no-untyped-call]  # Powertools leaves it untyped
    for handler in HANDLERS:
        handler.bootstrap.cache_clear()
