"""An AWS that holds nothing: it takes every signed request, and answers at once that there is no such row, object or message."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

NOTHING: Mapping[str, Mapping[str, Any]] = {
    "Query": {"Items": [], "Count": 0, "ScannedCount": 0},
    "GetSecretValue": {"ARN": "arn", "Name": "secret", "VersionId": "1", "SecretString": "s" * 64},
    "PutEvents": {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]},
}
LIST = b"<Result></Result>"  # of S3


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]  # S3 has none
        listed = "?" in self.path and self.command == "GET"
        body = json.dumps(NOTHING.get(operation, {})).encode() if operation else LIST * listed
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def empty_aws(host: str) -> Iterator[str]:
    """Serve it at an address of this machine; give its URL."""
    server = ThreadingHTTPServer((host, 0), _Answers)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
