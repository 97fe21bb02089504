"""fal's HTTP, in front of the ledger: its queue, its request list, its keys and its CDN."""

import base64
import json
import re
from urllib.parse import parse_qs

import httpx

from lora_drop.fal.status import Failed, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact
from tests.resilience.faults.fal import Fal
from tests.support.builders import APPLICATION, KEY


class Wire:
    """What httpx reaches."""

    def __init__(self, fal: Fal) -> None:
        self.fal = fal

    def answer(self, request: httpx.Request) -> httpx.Response:
        """By the host that is asked."""
        match request.url.host:
            case "queue.fal.run":
                return self._queue(request)
            case "api.fal.ai":
                return self._platform(request)
            case "rest.fal.ai":
                x = base64.urlsafe_b64encode(bytes(KEY.verify_key)).decode().rstrip("=")
                return httpx.Response(
                    200, json={"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}
                )
            case _:
                return self._file(request)

    def _queue(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            webhook_url = parse_qs(request.url.query.decode())["fal_webhook"][0]
            said = self.fal.submit(
                APPLICATION, json.loads(request.content), webhook_url=webhook_url
            )
            return httpx.Response(200, json={"request_id": said.request_id})
        request_id, what = request.url.path.rsplit("/", 2)[-2:]
        if what != "status":
            request_id = what if what in self.fal.requests else request_id
        return self._state(request_id, status=what == "status")

    def _state(self, request_id: str, *, status: bool) -> httpx.Response:
        fact = self.fal.ask(APPLICATION, request_id)
        match fact:
            case Gone():
                return httpx.Response(404, json={"detail": "Request not found"})
            case Running(started=started):
                return httpx.Response(
                    200, json={"status": "IN_PROGRESS" if started else "IN_QUEUE"}
                )
            case Finished() if not status:
                return httpx.Response(200, json=self.fal.requests[request_id].payload)
            case Failed() if status:
                return httpx.Response(200, json={"status": "COMPLETED", "error": "422"})
            case Failed():
                return httpx.Response(422, json=self.fal.requests[request_id].payload)
            case _:
                return httpx.Response(200, json={"status": "COMPLETED"})

    def _platform(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/by-endpoint"):
            return httpx.Response(503)
        rows = [
            {"request_id": each.request_id, "json_input": {"images_data_url": each.dataset_url}}
            for each in self.fal.requests.values()
        ]
        return httpx.Response(200, json={"items": rows, "has_more": False, "next_cursor": None})

    def _file(self, request: httpx.Request) -> httpx.Response:
        artifact = Artifact(name="any", url=str(request.url))
        data = self.fal.requests[request.url.path.split("/")[2]].files[artifact.url]
        headers = {"ETag": '"1"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if not asked:
            return httpx.Response(200, stream=httpx.ByteStream(data), headers=headers)
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        part = data[first : last + 1]
        headers |= {
            "Content-Range": f"bytes {first}-{last}/{len(data)}",
            "Content-Length": str(len(part)),
        }
        return httpx.Response(206, stream=httpx.ByteStream(part), headers=headers)
