"""The two ends of a copy, each a process of its own: a CDN with ranges over TLS, and a bucket.

The bucket speaks as much of S3 as a copy needs and keeps nothing but sizes and checksums, so that
what is measured is the copying. Either end can be slowed to so many bytes a second per connection.
"""

import base64
import json
import mmap
import re
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from awscrt.checksums import combine_crc64nvme, crc64nvme

PIECE = 256 * 1024
ETAG = '"5ca1ab1e"'
NO_HEADERS: Mapping[str, str] = {}
WHOLE: Mapping[str, str] = {"x-amz-checksum-type": "FULL_OBJECT"}


class Answering(BaseHTTPRequestHandler):
    """What both ends have in common."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rate: ClassVar[float] = 0.0

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def paced(self, size: int) -> Iterator[int]:
        """The pieces of so many bytes, each when it is due."""
        begun, done = time.monotonic(), 0
        while done < size:
            piece = min(PIECE, size - done)
            yield piece
            done += piece
            if self.rate:
                time.sleep(max(begun + done / self.rate - time.monotonic(), 0))

    def say(self, status: int, body: bytes = b"", headers: Mapping[str, str] = NO_HEADERS) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Cdn(Answering):
    """One file, whole or in ranges."""

    data: ClassVar[mmap.mmap]

    def do_GET(self) -> None:  # http.server's own name
        """The file, or the range that is asked for."""
        size = len(self.data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), min(int(asked[2]) + 1, size)) if asked else (0, size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("ETag", ETAG)
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        view = memoryview(self.data)
        for piece in self.paced(end - start):
            self.wfile.write(view[start : start + piece])
            start += piece


class Bucket(Answering):
    """Objects, of which sizes and checksums are kept."""

    uploads: ClassVar[dict[str, dict[int, tuple[int, int]]]] = {}
    objects: ClassVar[dict[str, tuple[int, int]]] = {}

    def do_HEAD(self) -> None:
        """An object's size and checksum."""
        if self.path not in self.objects:
            self.say(404)
            return
        size, crc = self.objects[self.path]
        checksum = {"x-amz-checksum-crc64nvme": _text(crc)}
        self.say(200, headers={"Content-Length": str(size), **WHOLE, **checksum})

    def do_GET(self) -> None:
        """Every object, by its path."""
        self.say(200, json.dumps(self.objects).encode())

    def do_PUT(self) -> None:
        """An object, or a part of one."""
        size, crc = int(self.headers["Content-Length"]), 0
        for piece in self.paced(size):
            crc = crc64nvme(self.rfile.read(piece), crc)
        stated = self.headers.get("x-amz-checksum-crc64nvme", _text(crc))
        if stated != _text(crc):
            self.say(400)
            return
        path, query = self._asked()
        if "uploadId" in query:
            self.uploads[query["uploadId"][0]][int(query["partNumber"][0])] = (size, crc)
        else:
            self.objects[path] = (size, crc)
        self.say(200, headers={"ETag": ETAG})

    def do_POST(self) -> None:
        """Begin or complete an object in parts."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, query = self._asked()
        if "uploads" in query:
            upload_id = str(len(self.uploads) + 1)
            self.uploads[upload_id] = {}
            begun = "InitiateMultipartUploadResult"
            body = f"<{begun}><UploadId>{upload_id}</UploadId></{begun}>"
            self.say(200, body.encode(), WHOLE)
            return
        size, crc = 0, 0
        for _, (length, own) in sorted(self.uploads.pop(query["uploadId"][0]).items()):
            size, crc = size + length, combine_crc64nvme(crc, own, length)
        self.objects[path] = (size, crc)
        self.say(200, b"<CompleteMultipartUploadResult/>")

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        url = urlsplit(self.path)
        return url.path, parse_qs(url.query, keep_blank_values=True)


def _text(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(8)).decode()


def main(which: str, rate: str, *more: str) -> None:
    """Serve until killed; the port is the first line of the output."""
    kind: type[Answering] = Cdn if which == "cdn" else Bucket
    kind.rate = float(rate)
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        if which == "cdn":
            file, certificate = more
            with Path(file).open("rb") as opened:
                Cdn.data = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
