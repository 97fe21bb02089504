"""The real webhook handler as one of its containers, in which a vector is delivered."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx

from functions.webhook import handler as webhook
from lora_drop.adapters.signing_keys import JwksKeys
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import make_job
from tests.support.lambda_environment import Call, Context, LambdaEnvironment, recorded
from tests.support.lambda_events import webhook_event

JWKS_HOST = "rest.fal.ai"
ANSWERS = {
    "accepted": (200, None),
    "refused": (401, "delivery_refused"),
    "stale": (401, "delivery_stale"),
    "unavailable": (503, "try_again"),
}


@dataclass(frozen=True)
class Outcome:
    """What came of a delivery: the answer, what was written in AWS, and how often keys were fetched."""

    status: int
    code: str | None
    written: Sequence[Call]
    fetches: int


@dataclass
class Container:
    """A container of the webhook function; ``documents`` are the key sets that tests name."""

    environment: LambdaEnvironment
    documents: Mapping[str, str]

    def __post_init__(self) -> None:
        self.environment.aws.function(self.environment.variables()["RECONCILE_FUNCTION"])
        self._jobs = 0
        self._knows: list[object] = []
        self._waiting = self._job()

    def deliver(self, test: Mapping[str, Any]) -> Outcome:
        """This vector, to a function that knows of fal's keys what the vector says."""
        job = self._waiting
        if self._knows != (knows := [test[part] for part in ("user_id", "cached", "endpoint")]):
            self._knows = knows
            self._start(test["user_id"])
            if test["cached"]:
                self._warm_up(test["cached"])
        self._serves(test["endpoint"])
        self.environment.clock.now = datetime.fromtimestamp(test["now"], UTC)
        before = self._fetches
        with recorded() as calls:
            answer = webhook.handler(_request(job.job_id, test["headers"], test["body"]), Context())
        written = [call for call in calls if call.writes]
        if written and self.environment.jobs.get(job.job_id) != job:
            # moto copies the whole table for each transaction.
            self.environment.empty_table()
            self._waiting = self._job()
        said = json.loads(answer["body"])
        return Outcome(
            status=answer["statusCode"],
            code=said.get("error", {}).get("code"),
            written=written,
            fetches=self._fetches - before,
        )

    @property
    def _fetches(self) -> int:
        return sum(each.url.host == JWKS_HOST for each in self.environment.internet.requests)

    def _job(self) -> Job:
        """A job that takes whatever request its own token vouches for."""
        self._jobs += 1
        return self.environment.add_job(
            make_job(Status.SUBMIT_UNKNOWN, job_id=f"ada-{self._jobs:010}")
        )

    def _start(self, user_id: str) -> None:
        """A new container, as far as keys go; its clients are as good as new."""
        world = webhook.bootstrap()
        # The same wire as everybody has; a client of its own would read certificates first.
        wire = httpx.MockTransport(self.environment.internet.answer)
        keys = JwksKeys(world.settings.fal_jwks_url, wire)
        vars(world)["webhook_handler"] = replace(
            world.webhook_handler, signing_keys=keys, fal_user_id=user_id, asked={}
        )

    def _warm_up(self, cached: Mapping[str, Any]) -> None:
        """What made the function fetch keys before: a delivery that no key of fal's has signed."""
        self._serves({"status": 200, "document": cached["document"]})
        self.environment.clock.now = datetime.fromtimestamp(cached["fetched_at"], UTC)
        forged = {
            "Request-Id": "x",
            "User-Id": "x",
            "Timestamp": str(cached["fetched_at"]),
            "Signature": "00" * 64,
        }
        headers = [[f"X-Fal-Webhook-{name}", value] for name, value in forged.items()]
        webhook.handler(_request(self._waiting.job_id, headers, ""), Context())

    def _serves(self, endpoint: Mapping[str, Any]) -> None:
        self.environment.internet.says[JWKS_HOST] = answer_of(endpoint, self.documents)


def answer_of(
    endpoint: Mapping[str, Any], documents: Mapping[str, str]
) -> httpx.Response | Exception:
    if error := endpoint.get("error"):
        return httpx.ReadTimeout("slow") if error == "timeout" else httpx.ConnectError(error)
    body = base64.b64decode(endpoint.get("body", ""))
    if name := endpoint.get("document"):
        body = documents[name].encode()
    headers = {"Location": endpoint["location"]} if "location" in endpoint else {}
    padded = body.ljust(endpoint.get("padded_to", 0))
    return httpx.Response(endpoint["status"], headers=headers, content=padded)


def _request(job_id: str, headers: Sequence[Sequence[str]], body: str) -> dict[str, Any]:
    """A delivery as API Gateway's REST API hands it on, its bytes in base64."""
    several: dict[str, list[str]] = {}
    for name, value in headers:
        several.setdefault(name, []).append(value)
    return webhook_event(job_id, headers=several, encoded=True) | {"body": body}
