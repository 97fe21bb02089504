"""The files of the simulator's CDN: on disk, known by their public paths."""

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from lora_drop.simulator.wire import now

CHUNK = 256 * 1024
UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")
FOLDERS = ("elephant", "koala", "lion", "monkey", "panda", "penguin", "rabbit", "tiger", "zebra")


@dataclass(frozen=True, slots=True)
class PublicFile:
    """A file that the CDN serves; size in bytes."""

    path: str
    on_disk: Path
    name: str
    content_type: str
    size: int
    sha256: str
    request_id: str | None = None
    endpoint_id: str | None = None
    expires_at: datetime | None = None

    @property
    def etag(self) -> str:
        """The entity tag, quotes included."""
        return f'"{self.sha256[:32]}"'

    def of(self, request_id: str, endpoint_id: str) -> Self:
        """The same file as the output of a request."""
        return replace(self, request_id=request_id, endpoint_id=endpoint_id)

    def chunks(self, start: int, end: int, piece: int = CHUNK) -> Iterator[bytes]:
        """The bytes from ``start`` to before ``end``, in pieces of so many bytes."""
        with self.on_disk.open("rb") as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(piece, end - start))):
                start += len(chunk)
                yield chunk


class Incoming:
    """A file that is being written: hashed on the way, and gone again unless it is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hex."""
        return self._digest.hexdigest()


class PublicFiles:
    """Every file that can be had from the CDN."""

    def __init__(self, state: Path, base_url: str) -> None:
        self.folder = state / "files"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._base_url = base_url
        self._files: dict[str, PublicFile] = {}

    def new_path(self, name: str) -> str:
        """A public path that cannot be guessed, of the form that fal's have."""
        plain = UNUSUAL.sub("_", name)
        return f"/files/{secrets.choice(FOLDERS)}/{secrets.token_urlsafe(16)}_{plain[-100:]}"

    def place(self, path: str) -> Path:
        """Where the file of this public path lies on disk."""
        name = hashlib.sha256(path.encode()).hexdigest()[:32]
        return self.folder / f"{name}{Path(path).suffix[:20]}"

    @contextlib.contextmanager
    def incoming(self, name: str) -> Iterator[Incoming]:
        """A file to write to; removed at the end unless it was moved elsewhere."""
        plain = UNUSUAL.sub("_", name)[-40:]
        file = Incoming(self.folder / f"{secrets.token_hex(8)}.part-{plain}")
        try:
            yield file
        finally:
            file.close()
            file.path.unlink(missing_ok=True)

    def publish(
        self,
        incoming: Incoming,
        path: str,
        name: str,
        content_type: str,
        expires_at: datetime | None = None,
    ) -> PublicFile:
        """Serve what came in under this path."""
        incoming.close()
        on_disk = incoming.path.rename(self.place(path))
        file = PublicFile(
            path, on_disk, name, content_type, incoming.size, incoming.sha256, expires_at=expires_at
        )
        self.add(file)
        return file

    def add(self, file: PublicFile) -> None:
        """Serve a file that lies in its place."""
        self._files[file.path] = file

    def get(self, path: str) -> PublicFile | None:
        """The file of this public path; one that has expired is deleted for good."""
        file = self._files.get(path)
        if file and file.expires_at and now() >= file.expires_at:
            self.remove(path)
            return None
        return file

    def url(self, path: str) -> str:
        """Where a file can be had."""
        return self._base_url + path

    def remove(self, path: str) -> None:
        """Delete a file for good; nothing happens when there is none."""
        if file := self._files.pop(path, None):
            file.on_disk.unlink(missing_ok=True)
