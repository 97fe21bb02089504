"""What uploads say on the wire, over real TLS: checksums in headers, in trailers and at completion."""

import base64
import re
import ssl
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_client import s3_client
from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.adapters.s3_results import PART, S3Results
from lora_drop.results.copies import Label

ANSWERS = {
    "uploads": b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    "uploadId=u": b"<CompleteMultipartUploadResult/>",
}


@dataclass
class Said:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Said]]:
    """An S3 that records what it hears and says yes."""
    said: list[Said] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = self.headers.get("Content-Length")
            if self.headers.get("Expect"):
                self.send_response_only(100)
                self.end_headers()
            body = self.rfile.read(int(length)) if length else self._chunks()
            headers = {name.lower(): value for name, value in self.headers.items()}
            said.append(Said(f"{self.command} {self.path}", headers, body))
            text = ANSWERS.get(self.path.partition("?")[2], b"") if self.command == "POST" else b""
            self.send_response(200)
            self.send_header("ETag", '"5ca1ab1e"')
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _chunks(self) -> bytes:
            """A chunked body; what is in it is chunked again, with a trailer."""
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def log_message(self, *_: object) -> None:
            pass

        do_PUT = do_POST = answer  # noqa: N815  # http.server's

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4)).decode()


@pytest.mark.promise("never lose a result")
def test_multipart_says_its_checksums(wire: list[Said]) -> None:
    """A multipart upload announces its checksum, sends each part's, and repeats them at completion."""
    S3Results(s3_client(), "models").write_pieces("a/dataset.zip", [b"a" * PART, b"rest"], "x/y")

    begun, first, second, completed = wire
    assert begun.headers["x-amz-checksum-algorithm"] == "CRC32"
    assert first.headers["x-amz-checksum-crc32"] == crc32(b"a" * PART)
    assert second.headers["x-amz-checksum-crc32"] == crc32(b"rest")
    assert (second.body, "x-amz-trailer" in second.headers) == (b"rest", False)
    sums = re.findall(r"<ChecksumCRC32>(.+?)</ChecksumCRC32>", completed.body.decode())
    assert sums == [crc32(b"a" * PART), crc32(b"rest")]


def test_copy_says_its_checksums(wire: list[Said]) -> None:
    copies = S3Copies(s3_client(), "models")
    part = copies.upload("a/lora", copies.begin("a/lora", Label("x/y", "source")), 1, b"weights")
    with pytest.raises(ClientError, match="501"):  # it looks at what came of it
        copies.complete("a/lora", "u", [part])

    begun, put, completed = wire
    assert begun.headers["x-amz-checksum-algorithm"] == "CRC64NVME"
    assert begun.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert put.headers["x-amz-checksum-crc64nvme"] == part.checksum
    assert f"<ChecksumCRC64NVME>{part.checksum}</ChecksumCRC64NVME>" in completed.body.decode()


def test_small_file_has_its_checksum_in_a_trailer(wire: list[Said]) -> None:
    S3Results(s3_client(), "models").write("a/status.json", "{}", "application/json")

    [put] = wire
    assert put.headers["x-amz-trailer"] == "x-amz-checksum-crc32"
    assert put.headers["x-amz-content-sha256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert (
        put.body == b"2\r\n{}\r\n0\r\nx-amz-checksum-crc32:" + crc32(b"{}").encode() + b"\r\n\r\n"
    )
