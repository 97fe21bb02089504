"""The real functions in the environment the template describes, on moto; only the wire is not real.

Whatever a function asks of AWS passes its own role in the template.
"""

import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType

import boto3
import httpx
import pytest
from aws_lambda_powertools.utilities.parameters.constants import DEFAULT_PROVIDERS

from lora_drop.adapters.download_connections import FileTransport
from lora_drop.bootstrap.submit import SubmitBootstrap
from tests.security.iam.arns import Names
from tests.security.iam.guard import Guard, guarded
from tests.security.iam.policies import functions
from tests.support.aws import kept_client, moto
from tests.support.lambda_environment import Internet, LambdaEnvironment
from tests.support.memory import ManualClock
from tests.support.pictures import BlindPictures


class _Stdout(io.TextIOBase):
    """Standard output as it is now: the loggers were made when it was another."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)


@cache
def handlers() -> dict[str, ModuleType]:
    """The module of every function's handler, by its logical id."""
    found = {
        name: import_module(each["Handler"].rpartition(".")[0])
        for name, each in functions().items()
    }
    for output in logging.getLogger("lora-drop").handlers:
        assert isinstance(output, logging.StreamHandler)
        output.stream = _Stdout()
    return found


@contextmanager
def prepared_environment(output: Callable[[], str]) -> Iterator[tuple[LambdaEnvironment, Guard]]:
    """Everything a function finds around it, freshly made; the clock stands at the time of the events.

    httpx reaches fal, its keys and its CDN, and no other host. ``output`` gives what was printed.
    """
    internet, clock = Internet(), ManualClock()
    _start_anew()
    with pytest.MonkeyPatch.context() as patch, moto() as aws:
        for transport in (httpx.HTTPTransport, FileTransport):
            patch.setattr(transport, "handle_request", lambda _, request: internet.answer(request))
        # By the machine's own clock, which a busy machine lets run.
        patch.setattr("lora_drop.adapters.signing_keys.PATIENCE", 600.0)
        patch.setattr("lora_drop.bootstrap.base.Bootstrap.clock", clock)
        # The photos of the drops have no pixels.
        for pictures in ("pictures", "pictures_of_style"):
            patch.setattr(SubmitBootstrap, pictures, BlindPictures())
        patch.setattr(boto3, "client", kept_client)
        environment = LambdaEnvironment(aws, internet, clock, output)
        for name, value in environment.variables().items():
            patch.setenv(name, value)
        guard = Guard.of(Names.of_environment(environment.variables()))
        with guarded(guard):
            yield environment, guard
    _start_anew()


def _start_anew() -> None:
    """What a function keeps between two calls is gone."""
    for provider in DEFAULT_PROVIDERS.values():
        provider.clear_cache()  # the secrets, not the client that reads them
    for handler in handlers().values():
        handler.bootstrap.cache_clear()
