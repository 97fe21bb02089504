"""The stack's API over HTTP: signed calls, and what its refusals mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from lora_drop.client.backoff import asked_again
from lora_drop.client.errors import (
    CommandError,
    JobErasedError,
    JobUnknownError,
    StackUnreachableError,
)
from lora_drop.client.foreign_answers import ASKED_AS, foreign_answer, json_object, proxy_refuses
from lora_drop.client.stack import Stack

REFUSED = (401, 403)
CLOSED = (
    "The connections to the stack are closed: the `with` block has ended, or close() was called. Use jobs "
    "inside of the block, or open the stack again and ask for the job by its id: LoraDrop().job(job.id)"
)


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Calls the API of one stack, with the caller's AWS credentials."""

    stack: Stack
    http: httpx.Client

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: str = ""
    ) -> dict[str, Any]:
        """Return the answer; raises CommandError and its kinds, and asks again only where it reads."""
        url = str(httpx.URL(self.stack.api_url + path, params=dict(query or {})))

        def ask() -> httpx.Response:
            headers = self._signed(method, url, body)
            return self.http.request(method, url, headers=headers, content=body or None)

        try:
            response = asked_again(ask) if method == "GET" else ask()
        except RuntimeError as error:
            if not self.http.is_closed:
                raise
            raise CommandError(CLOSED) from error
        except BotoCoreError as error:
            raise StackUnreachableError(f"AWS cannot be reached as you: {error}") from error
        except httpx.ProxyError as error:
            raise StackUnreachableError(proxy_refuses(url, error)) from error
        except httpx.HTTPError as error:
            raise StackUnreachableError(
                f"The stack's API does not answer at {url}: {error}"
            ) from error
        answer = json_object(response)
        if answer is None:
            raise StackUnreachableError(foreign_answer(response))
        if response.is_success:
            return answer
        raise _refusal(response, answer)

    def _signed(self, method: str, url: str, body: str) -> dict[str, str]:
        """The headers of a call that API Gateway lets in (IAM, Signature Version 4)."""
        session = self.stack.session
        credentials = session.get_credentials()
        if credentials is None:
            raise StackUnreachableError("There are no AWS credentials: set AWS_PROFILE, or log in.")
        kind = {"Content-Type": "application/json"} if body else {}
        request = AWSRequest(method=method, url=url, data=body or None, headers=kind)
        SigV4Auth(credentials, "execute-api", session.region_name).add_auth(request)
        return dict(request.headers)


def _refusal(response: httpx.Response, answer: Mapping[str, Any]) -> CommandError:
    """The error that the API's answer means; without one of its own, API Gateway gave it."""
    problem = answer.get("error") or {}
    if problem.get("code") == "job_unknown":
        return JobUnknownError(f"{problem['message']} All of them: lora-drop jobs")
    if problem.get("code") == "job_forgotten":
        return JobErasedError(problem["message"])
    if "message" in problem:
        return CommandError(problem["message"])
    message = answer.get("message") or response.text
    return StackUnreachableError(
        f"The stack's API answered {response.status_code}: {message}"
        f"{f'. {ASKED_AS}' if response.status_code in REFUSED else ''}"
    )
