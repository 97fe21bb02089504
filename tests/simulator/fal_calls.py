"""fal's protocol by hand: what fal_client hides, status codes and raw bytes, shows here."""

import base64
import hashlib
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
from nacl.signing import VerifyKey

from lora_drop.simulator.running import ControlClient
from tests.simulator.receiver import Received
from tests.support.builders import APPLICATION, make_archive

SIGNED = ("request-id", "user-id", "timestamp", "signature")


def data_uri(data: bytes) -> str:
    return f"data:application/zip;base64,{base64.b64encode(data).decode()}"


DATASET = data_uri(make_archive())


def until[T](ask: Callable[[], T], *, within: float = 10.0) -> T:
    """What is asked, once it is something; TimeoutError when it stays nothing."""
    end = time.monotonic() + within
    while not (found := ask()):
        if time.monotonic() > end:
            raise TimeoutError(ask)
        time.sleep(0.01)
    return found


class Calls:
    """A client that repeats nothing and raises for no status."""

    def __init__(self, sim: ControlClient) -> None:
        self.sim = sim
        self.http = httpx.Client(
            base_url=sim.base_url,
            verify=ssl.create_default_context(cafile=sim.ca_file),
            headers={"Authorization": f"Key {sim.key}"},
            trust_env=False,
            timeout=10.0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    def submit(
        self,
        arguments: object = None,
        *,
        application: str = APPLICATION,
        webhook_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        max_queue_length: str | None = None,
    ) -> httpx.Response:
        query = {"fal_webhook": webhook_url, "fal_max_queue_length": max_queue_length}
        return self.http.post(
            f"/{application}",
            json={"images_data_url": DATASET} if arguments is None else arguments,
            params={name: value for name, value in query.items() if value is not None},
            headers=headers,
        )

    def submitted(self, arguments: object = None, **how: Any) -> str:
        """The id of a request that was taken."""
        response = self.submit(arguments, **how)
        assert response.status_code == 200, response.text
        return str(response.json()["request_id"])

    def status(
        self, request_id: str, application: str = APPLICATION, *, logs: bool = False
    ) -> dict[str, Any]:
        query = {"logs": "1"} if logs else {}
        at = f"{path(request_id, application)}/status"
        body: dict[str, Any] = self.http.get(at, params=query).json()
        return body

    def started(self, request_id: str) -> None:
        until(lambda: self.status(request_id)["status"] != "IN_QUEUE")

    def ended(self, request_id: str, application: str = APPLICATION) -> dict[str, Any]:
        """The last status of a request, with its logs."""
        until(lambda: self.status(request_id, application)["status"] == "COMPLETED")
        return self.status(request_id, application, logs=True)

    def result(self, request_id: str, application: str = APPLICATION) -> httpx.Response:
        return self.http.get(path(request_id, application))

    def cancel(self, request_id: str) -> httpx.Response:
        return self.http.put(f"{path(request_id)}/cancel")

    def trained(self, arguments: object = None, **how: Any) -> dict[str, Any]:
        """The result of a training that succeeds."""
        request_id = self.submitted(arguments, **how)
        application = how.get("application", APPLICATION)
        self.ended(request_id, application)
        response = self.result(request_id, application)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()
        return result

    def stored(self, data: bytes, name: str = "photos.zip") -> str:
        """The URL of a file that was uploaded to the CDN."""
        token = self.http.post("/storage/auth/token", json={}).json()
        response = self.http.post(
            "/files/upload",
            content=data,
            headers={
                "Authorization": f"{token['token_type']} {token['token']}",
                "X-Fal-File-Name": name,
            },
        )
        return str(response.json()["access_url"])

    def verify(self, webhook: Received) -> None:
        """BadSignatureError unless fal's key has signed it, as fal documents."""
        request_id, user_id, timestamp, signature = (
            webhook.headers[f"x-fal-webhook-{name}"] for name in SIGNED
        )
        digest = hashlib.sha256(webhook.body).hexdigest()
        message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
        [key] = self.http.get("/.well-known/jwks.json").json()["keys"]
        assert (key["kty"], key["crv"], len(key["x"])) == ("OKP", "Ed25519", 43)
        public = VerifyKey(base64.urlsafe_b64decode(key["x"] + "="))
        public.verify(message, bytes.fromhex(signature))


def path(request_id: str, application: str = APPLICATION) -> str:
    return f"/{application}/requests/{request_id}"
