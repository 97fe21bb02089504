"""Messages of the notify queue, as EventBridge and SQS make them."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from lora_drop.jobs.events import DETAIL_TYPE, SOURCE, StatusChange
from lora_drop.jobs.job import Job


def envelope(job: Job) -> str:
    """EventBridge's message to a queue, of the change that a job stands at."""
    change = StatusChange.of(job, bucket="models")
    detail = change.model_dump(mode="json")
    return json.dumps({"source": SOURCE, "detail-type": DETAIL_TYPE, "detail": detail})


def changes(*bodies: str, tries: int = 1) -> dict[str, Any]:
    """SQS's event with these messages."""
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": f"receipt-{number}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(tries)},
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


class LocalReceiver:
    """A receiver on this machine; ``answers`` are its first ones, each taken by one request, then 204."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.asked = 0
        self.accepted: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked += 1
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status < 300:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    receiver.accepted.append((headers, body))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/lora"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
