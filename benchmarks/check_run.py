"""``python -m benchmarks.check_run PROGRAM PLACE [FACES]``: one check of one dataset in a process of its own; prints figures.

``PLACE`` is a file, or ``s3://bucket/key`` at ``AWS_ENDPOINT_URL``. The clock begins once all is imported. Every peer reads each
member, with zipfile's CRC, and decodes it in a draft, in the size in which the check looks at it; ``floor`` does that on
all cores, while it reads the next range.
"""

import io
import json
import os
import sys
import tempfile
import time
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from PIL import Image

from benchmarks.memory import peak

DRAFT = (512, 512)
WINDOW = 4 * 1024**2
TAIL = 65_557  # bytes: the longest end of a ZIP, and its directory here
LOCAL_HEADER, LENGTHS = 30, (slice(26, 28), slice(28, 30))
AT_ONCE = 8  # photos: memory is bounded here as well

type Read = Callable[[int, int], bytes]


def decode(data: bytes) -> None:
    """Decode a photo as small as its format lets it be."""
    image = Image.open(io.BytesIO(data))
    image.draft(None, DRAFT)
    image.load()


def _client() -> Any:
    import boto3  # noqa: PLC0415  # most programs need something else

    return boto3.client("s3")


def _s3_place(place: str) -> tuple[str, str]:
    bucket, _, key = place.removeprefix("s3://").partition("/")
    return bucket, key


def _ranges(place: str) -> tuple[Read, int]:
    """Return how ranges of it are read, and how many bytes it has."""
    if not place.startswith("s3://"):
        file = open(place, "rb")  # noqa: PTH123, SIM115  # until the process ends

        def read_file(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return read_file, os.stat(place).st_size  # noqa: PTH116
    s3, (bucket, key) = _client(), _s3_place(place)

    def read(offset: int, length: int) -> bytes:
        wanted = f"bytes={offset}-{offset + length - 1}"
        data: bytes = s3.get_object(Bucket=bucket, Key=key, Range=wanted)["Body"].read()
        return data

    return read, s3.head_object(Bucket=bucket, Key=key)["ContentLength"]


class _Forward:
    """A file from front to back in windows, the next one on its way while one is used."""

    def __init__(self, read: Read, size: int, ahead: ThreadPoolExecutor) -> None:
        wanted = [(at, min(WINDOW, size - at)) for at in range(0, size, WINDOW)]
        self._coming = deque(wanted)
        self._read, self._ahead, self._held = read, ahead, bytearray()
        self._next = ahead.submit(read, *self._coming.popleft())

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        while len(self._held) < length:
            self._held += self._next.result()
            if self._coming:
                self._next = self._ahead.submit(self._read, *self._coming.popleft())
        data = bytes(self._held[:length])
        del self._held[:length]
        return data


def floor(place: str) -> None:
    """Ranged GETs, inflate, CRC and draft decode on all cores: the least that a deep check can take."""
    import pillow_heif  # noqa: PLC0415  # the peers have none

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, decode_threads=1)
    read, size = _ranges(place)
    tail = read(max(size - TAIL, 0), min(size, TAIL))
    with zipfile.ZipFile(io.BytesIO(tail)) as directory:
        members = directory.infolist()  # in the order in which they lie: zipfile wrote them
    with (
        ThreadPoolExecutor(1) as ahead,
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads,
    ):
        file, running = _Forward(read, size, ahead), deque[Any]()
        for member in members:
            header = file.take(LOCAL_HEADER)
            file.take(sum(int.from_bytes(header[part], "little") for part in LENGTHS))
            data = file.take(member.compress_size)
            if member.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompress(data, -zlib.MAX_WBITS)
            if zlib.crc32(data) != member.CRC:
                raise ValueError(member.filename)
            running.append(threads.submit(decode, data))
            if len(running) > AT_ONCE:
                running.popleft().result()
        for each in running:
            each.result()


def ours(place: str, *, faces: bool = False) -> dict[str, float]:
    """The product's check."""
    import logging  # noqa: PLC0415

    logging.disable()
    from lora_drop.adapters.local_files import open_range  # noqa: PLC0415
    from lora_drop.adapters.s3_datasets import S3Datasets  # noqa: PLC0415
    from lora_drop.client.check import local_checker  # noqa: PLC0415
    from lora_drop.client.face_check import FaceCheck  # noqa: PLC0415
    from lora_drop.jobs.job import DatasetVersion  # noqa: PLC0415
    from lora_drop.services.check import DatasetInput  # noqa: PLC0415

    checker = local_checker(faces=FaceCheck(wanted=faces))
    began, before = time.perf_counter(), time.process_time()

    def check(archive: Any) -> dict[str, float]:
        drop = DatasetInput(archive, "a.zip", "a.zip", {}, "0123456789", "fal-ai/flux-lora-portrait-trainer")  # fmt: skip
        report = checker.check(drop).report
        return {
            "seconds": time.perf_counter() - began,
            "cpu": time.process_time() - before,
            "requests": report.requests,
            "bytes": report.bytes_read,
            "photos": report.images,
            "errors": len(report.errors),
        }

    if place.startswith("s3://"):
        bucket, key = _s3_place(place)
        version = DatasetVersion(bucket=bucket, key=key, version_id="null")
        found = S3Datasets(_client(), url_seconds=60).open(version)
        return check(found.archive)
    from pathlib import Path  # noqa: PLC0415

    with open_range(Path(place)) as file:
        return check(file)


def _all_of(archive: zipfile.ZipFile) -> None:
    for name in archive.namelist():
        decode(archive.read(name))


@contextmanager
def _downloaded(place: str) -> Iterator[zipfile.ZipFile]:
    bucket, key = _s3_place(place)
    with tempfile.NamedTemporaryFile() as file:
        _client().download_fileobj(bucket, key, file)
        file.flush()
        with zipfile.ZipFile(file) as archive:
            yield archive


def download(place: str) -> None:
    """boto3's download, then zipfile and Pillow."""
    with _downloaded(place) as archive:
        _all_of(archive)


def download_threads(place: str) -> None:
    """Do the same, and decode on all cores."""
    cores = len(os.sched_getaffinity(0))
    with _downloaded(place) as archive, ThreadPoolExecutor(cores) as threads:
        list(threads.map(decode, (archive.read(name) for name in archive.namelist())))


def remotezip(place: str) -> None:
    """Remotezip over a signed address."""
    from remotezip import RemoteZip  # type: ignore[import-not-found]  # noqa: PLC0415

    bucket, key = _s3_place(place)
    url = _client().generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    with RemoteZip(url) as archive:
        _all_of(archive)


def smart_open(place: str) -> None:
    """smart_open's seekable file."""
    import smart_open as library  # type: ignore[import-not-found]  # noqa: PLC0415

    parameters = {"client": _client()}
    with (
        library.open(place, "rb", transport_params=parameters) as file,
        zipfile.ZipFile(file) as archive,
    ):
        _all_of(archive)


def s3fs(place: str) -> None:
    """s3fs's file, with its own reading ahead."""
    from s3fs import S3FileSystem  # type: ignore[import-not-found]  # noqa: PLC0415

    system = S3FileSystem(key="test", secret="test", endpoint_url=os.environ["AWS_ENDPOINT_URL"])  # noqa: S106  # of no account
    with system.open(place, "rb") as file, zipfile.ZipFile(file) as archive:
        _all_of(archive)


def powertools(place: str) -> None:
    """Powertools for Lambda: S3Object."""
    from aws_lambda_powertools.utilities.streaming import S3Object  # noqa: PLC0415

    bucket, key = _s3_place(place)
    file = S3Object(bucket=bucket, key=key, boto3_client=_client())
    with zipfile.ZipFile(file) as archive:
        _all_of(archive)


def stream_unzip(place: str) -> None:
    """stream-unzip over one GET."""
    from stream_unzip import stream_unzip as unzipped  # type: ignore[import-not-found]  # noqa: PLC0415

    bucket, key = _s3_place(place)
    body = _client().get_object(Bucket=bucket, Key=key)["Body"]
    for _, _, chunks in unzipped(body.iter_chunks(64 * 1024)):
        decode(b"".join(chunks))


PEERS: dict[str, Callable[[str], None]] = {
    "download": download,
    "download_threads": download_threads,
    "remotezip": remotezip,
    "smart_open": smart_open,
    "s3fs": s3fs,
    "powertools": powertools,
    "stream_unzip": stream_unzip,
}


def main(name: str, place: str, *more: str) -> None:
    """Run it, and print seconds and memory."""
    measured: dict[str, float] = {}
    if name == "ours":
        measured = ours(place, faces=bool(more))
    else:
        began, before = time.perf_counter(), time.process_time()
        (floor if name == "floor" else PEERS[name])(place)
        measured["seconds"] = time.perf_counter() - began
        measured["cpu"] = time.process_time() - before
    measured["mib"] = peak() / 1024**2
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
