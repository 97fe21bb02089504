"""Questions to a stack's API are asked again where it does not answer; what may cost money never is.

API Gateway answers 429 to too many calls and 5xx where it, or the function behind it, fails
(https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html).
"""

import random
import time
from collections.abc import Callable

import httpx

from lora_drop.client.foreign_answers import json_object

PAUSES = (0.25, 0.5, 1.0, 2.0)  # seconds before each further try, and up to as much again by chance
LONGEST = 30.0  # seconds, after which it is not asked again
BUSY = frozenset({429, 500, 502, 503, 504})


def asked_again(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the answer to a question that may be asked any number of times, at most four times more.

    What the stack itself says of an error is an answer. Raises httpx.HTTPError where there is none at last.
    """
    began = time.monotonic()
    for pause in PAUSES:
        try:
            answer = ask()
        except httpx.ProxyError:
            raise  # it refuses, and will again
        except httpx.TransportError:
            if time.monotonic() - began > LONGEST:
                raise
        else:
            said = json_object(answer) or {}
            if answer.status_code not in BUSY or "error" in said:
                return answer
        time.sleep(pause * (1 + random.random()))  # noqa: S311  # no secret depends on it
    return ask()
