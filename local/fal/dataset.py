"""How the trainer gets its dataset, and when it refuses it."""

import base64
import binascii
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote_to_bytes

import aiohttp
from yarl import URL

from local.fal.errors import IMAGES, TrainingFailed, model_error
from local.fal.files import CHUNK, Incoming

FIELD = "images_data_url"
# fal's toolkit: a browser's name, a plain GET, five redirects, 30 seconds of silence.
HEADERS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
MAX_REDIRECTS = 5
SILENCE = 30.0
DATA_URI = re.compile(r"data:(?P<type>[^,]*?)(?P<base64>;base64)?,(?P<data>.*)", re.DOTALL)
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
UNREADABLE = (
    EOFError,
    lzma.LZMAError,
    NotImplementedError,  # a compression that zipfile does not know
    OSError,
    RuntimeError,  # an encrypted member
    struct.error,
    tarfile.TarError,
    ValueError,  # a number or a name that makes no sense
    zipfile.BadZipFile,
    zlib.error,
)


class DownloadFailed(Exception):
    """Raised when a URL does not give its file; the message says why."""


async def download(session: aiohttp.ClientSession, url: str, into: Incoming) -> None:
    """Write what the URL gives, http(s) or data; raises DownloadFailed."""
    if url.startswith("data:"):
        into.write(_inline(url))
        return
    if not url.startswith(("http://", "https://")):
        raise DownloadFailed("not an http, https or data URL")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    try:
        async with session.get(
            URL(url, encoded=True),  # a presigned URL does not outlive being written anew
            headers=HEADERS,
            timeout=timeout,
            max_redirects=MAX_REDIRECTS + 1,  # aiohttp counts the one it does not follow
        ) as response:
            if response.status != HTTPStatus.OK:
                raise DownloadFailed(f"status {response.status}")
            async for chunk in response.content.iter_chunked(CHUNK):
                into.write(chunk)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DownloadFailed(f"{type(error).__name__}: {error}") from error


def count_images(archive: Path, *, min_images: int) -> int:
    """How many images a trainer would find; TrainingFailed when it would not train on them."""
    try:
        count = sum(1 for _ in _images(archive))
    except UNREADABLE as error:
        raise TrainingFailed(model_error("invalid_archive", field_name=FIELD)) from error
    if count < min_images:
        ctx = {
            "min_count": min_images,
            "provided_count": count,
            "supported_extensions": IMAGES,
        }
        raise TrainingFailed(
            model_error("archive_file_count_below_minimum", field_name=FIELD, ctx=ctx)
        )
    return count


def _inline(url: str) -> bytes:
    """The content of a data URI (RFC 2397)."""
    found = DATA_URI.fullmatch(url)
    if found is None:
        raise DownloadFailed("not a data URI")
    data = unquote_to_bytes(found["data"])
    if not found["base64"]:
        return data
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise DownloadFailed("the data URI is not base64") from error


def _images(path: Path) -> Iterator[str]:
    """Each image that can be read; raises one of UNREADABLE, or TrainingFailed."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield from _image(info.filename, partial(archive.open, info))
    else:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                if member.isfile():
                    yield from _image(member.name, partial(_opened, tar, member))


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None:
        raise tarfile.ReadError(member.name)
    return file


def _image(name: str, opened: Callable[[], IO[bytes]]) -> Iterator[str]:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    if hidden or path.suffix.lower() not in IMAGES:
        return
    with opened() as file:
        head = file.read(16)
        while file.read(CHUNK):  # to its end, where the checksum is
            pass
    if not head.startswith(MAGIC):
        raise TrainingFailed(model_error("image_load_error", field_name=FIELD, given=name))
    yield name
