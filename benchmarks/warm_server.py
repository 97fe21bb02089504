"""``python -m benchmarks.warm_server ROW SECRET``: AWS as the webhook's function sees it, with the same answer to each call.

It prints its port. ROW is the item of a job in DynamoDB's JSON. It is a process of its own, so its time is in nobody's.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answers(BaseHTTPRequestHandler):
    """Answers by the target that a call names; without one it is S3's."""

    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # an answer leaves in one piece
    row: Any = None
    secret = ""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Print nothing."""

    def handle_expect_100(self) -> bool:
        """Say that the body may come, at once."""
        ready = super().handle_expect_100()
        self.wfile.flush()
        return ready

    def do_PUT(self) -> None:
        """Take an object."""
        self._body()
        self._send(b"", {"ETag": '"0"'})

    def do_POST(self) -> None:
        """Answer a call."""
        body = self._body()
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        said: dict[str, Any] = {}
        match operation:
            case "GetItem":
                said = {"Item": self.row}
            case "Query":
                said = {"Items": [], "Count": 0, "ScannedCount": 0}
            case "PutEvents":
                said = {"FailedEntryCount": 0, "Entries": [{"EventId": "0"}]}
            case "SendMessage":
                text = json.loads(body)["MessageBody"].encode()
                digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
                said = {"MessageId": "0", "MD5OfMessageBody": digest}
            case "GetSecretValue":
                said = {"SecretString": self.secret, "Name": "webhook"}
        self._send(json.dumps(said).encode(), {"Content-Type": "application/x-amz-json-1.0"})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main(row: str, secret: str) -> None:
    """Serve until it is ended."""
    Answers.row, Answers.secret = json.loads(row), secret
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
