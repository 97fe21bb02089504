"""How the trainer gets its dataset, and when it refuses it."""

import base64
import binascii
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote_to_bytes

import aiohttp
from yarl import URL

from lora_drop.simulator.errors import IMAGES, FailedTrainingError, model_error
from lora_drop.simulator.files import CHUNK, Incoming
from lora_drop.simulator.inputs import Rules

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


@dataclass(frozen=True, slots=True)
class Contents:
    """The photos of a dataset, and those among them that have no caption."""

    photos: tuple[str, ...]
    without_caption: tuple[str, ...]


class DatasetDownloadError(Exception):
    """Raised when a URL does not give its file; the message says why."""


async def download(session: aiohttp.ClientSession, url: str, into: Incoming) -> None:
    """Write what the URL gives, http(s) or data; raises DatasetDownloadError."""
    if url.startswith("data:"):
        into.write(_inline(url))
        return
    if not url.startswith(("http://", "https://")):
        raise DatasetDownloadError("not an http, https or data URL")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    try:
        async with session.get(
            URL(url, encoded=True),  # a presigned URL does not survive being quoted again
            headers=HEADERS,
            timeout=timeout,
            max_redirects=MAX_REDIRECTS + 1,  # aiohttp counts the one it does not follow
        ) as response:
            if response.status != HTTPStatus.OK:
                raise DatasetDownloadError(f"status {response.status}")
            async for chunk in response.content.iter_chunked(CHUNK):
                into.write(chunk)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DatasetDownloadError(f"{type(error).__name__}: {error}") from error


def look_into(archive: Path, rules: Rules, *, min_images: int) -> Contents:
    """What a trainer would find; FailedTrainingError when it would not train on it."""
    field = rules.dataset_field
    try:
        names = list(_names(archive, field))
    except UNREADABLE as error:
        raise FailedTrainingError(model_error("invalid_archive", field_name=field)) from error
    images = [name for name in names if PurePosixPath(name).suffix.lower() in IMAGES]
    stems = {_stem(name) for name in images}
    photos = tuple(name for name in images if not _is_mask(name, stems, rules.mask_suffix))
    if len(photos) < min_images:
        ctx = {
            "min_count": min_images,
            "provided_count": len(photos),
            "supported_extensions": IMAGES,
        }
        raise FailedTrainingError(
            model_error("archive_file_count_below_minimum", field_name=field, ctx=ctx)
        )
    captions = {_stem(name) for name in names if name.endswith(".txt")}
    return Contents(photos, tuple(name for name in photos if _stem(name) not in captions))


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _is_mask(name: str, stems: Collection[str], suffix: str | None) -> bool:
    stem = _stem(name)
    return suffix is not None and stem.endswith(suffix) and stem.removesuffix(suffix) in stems


def _inline(url: str) -> bytes:
    """The content of a data URI (RFC 2397)."""
    found = DATA_URI.fullmatch(url)
    if found is None:
        raise DatasetDownloadError("not a data URI")
    data = unquote_to_bytes(found["data"])
    if not found["base64"]:
        return data
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise DatasetDownloadError("the data URI is not base64") from error


def _names(path: Path, field: str) -> Iterator[str]:
    """Each file that counts, read to its end; raises one of UNREADABLE, or FailedTrainingError."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield from _name(info.filename, partial(archive.open, info), field)
    else:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                if member.isfile():
                    yield from _name(member.name, partial(_opened, tar, member), field)


def _opened(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    if file is None:
        raise tarfile.ReadError(member.name)
    return file


def _name(name: str, opened: Callable[[], IO[bytes]], field: str) -> Iterator[str]:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    if hidden or path.suffix.lower() not in (*IMAGES, ".txt"):
        return
    with opened() as file:
        head = file.read(16)
        while file.read(CHUNK):  # to its end, where the checksum is
            pass
    if path.suffix.lower() in IMAGES and not head.startswith(MAGIC):
        raise FailedTrainingError(model_error("image_load_error", field_name=field, given=name))
    yield name
