"""What to do where something else answers in the API's place, or AWS refuses: each ends with the command that helps."""

import re
from typing import Any

import httpx

ASKED_AS = (
    "If that is AWS, see as whom you ask: aws sts get-caller-identity, and log in: aws sso login. If a "
    "proxy answers in its place, go round it: export NO_PROXY=.amazonaws.com"
)
TITLE = re.compile(r"<title[^>]*>([^<]{1,200})<", re.IGNORECASE)
PROXY_AUTHENTICATION = 407  # RFC 9110, 15.5.8


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """The answer; None for what the API never says, like a page of HTML."""
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def foreign_answer(response: httpx.Response) -> str:
    """What to do where something else has answered in the API's place: its own answers are JSON objects."""
    if response.status_code == PROXY_AUTHENTICATION:
        return proxy_refuses(str(response.url), response.status_code)
    title = TITLE.search(response.text)
    page = f" (“{' '.join(title[1].split())}”)" if title else ""
    return (
        f"At {response.url} something else answered {response.status_code} in the API's place{page}: a proxy, or a page to "
        f"log in. Log in there, or go round it: export NO_PROXY={response.url.host}"
    )


def proxy_refuses(url: str, why: object) -> str:
    """What to do where a proxy does not let us through."""
    return (
        f"A proxy does not let us through to {url}: {why}. Give it your name: export "
        f"HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT, or go round it: export NO_PROXY={httpx.URL(url).host}"
    )
