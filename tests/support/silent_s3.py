"""An S3 that does not answer: botocore is real, and so is what it makes of the wire's errors."""

from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from moto.core.botocore_stubber import BotocoreStubber
from urllib3.connectionpool import HTTPConnectionPool

type Trouble = Callable[[HTTPConnectionPool, str], Exception]


def timed_out(pool: HTTPConnectionPool, url: str) -> Exception:
    """Connected, sent, and nothing comes."""
    return urllib3.exceptions.ReadTimeoutError(pool, url, "Read timed out.")


def silence_s3(patch: pytest.MonkeyPatch, trouble: Trouble = timed_out, *, part: str = "") -> None:
    """From now on calls to S3 whose address has this part pass moto, and get no further."""
    answer = BotocoreStubber.__call__

    def passed(stubber: BotocoreStubber, event_name: str, request: Any, **how: Any) -> Any:
        if event_name.startswith("before-send.s3.") and part in request.url:
            return None  # on to the wire
        return answer(stubber, event_name, request, **how)

    def silent(pool: HTTPConnectionPool, *_: str, url: str, **__: Any) -> Any:
        raise trouble(pool, url)

    patch.setattr(BotocoreStubber, "__call__", passed)
    patch.setattr(HTTPConnectionPool, "urlopen", silent)
    patch.setattr("time.sleep", lambda _: None)
