"""A large upload goes on where an earlier one broke off: parts that are there are not sent again.

S3 keeps the parts of an unfinished upload until a lifecycle rule ends it (the datasets bucket's does so after a
day), and lists them with their checksums ("Multipart upload process", "ListParts"). Which upload belongs to
which file is kept in a small file on this machine.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from lora_drop.adapters.local_files import sha256_of
from lora_drop.adapters.s3_client import PARTS, part_checksum
from lora_drop.client.errors import CommandError
from lora_drop.local.tools import data_folder

PART = 16 * 1024**2  # bytes of an upload that are sent, and counted, at once
# The upload was ended, by the lifecycle rule or because it was completed.
GONE = frozenset({"NoSuchUpload", "404"})
REFUSED = frozenset({"AccessDenied", "403"})
# After these no further call can complete it. A right or a session that has ended says nothing of the parts.
SPOILT = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "EntityTooLarge"})


class FileChangedError(CommandError):
    """Raised when a file has other bytes at the end of its upload than at the beginning."""

    @classmethod
    def of(cls, path: Path) -> "FileChangedError":
        """Return the error of this file."""
        return cls(
            f"{path} changed while it was sent, so nothing was ordered. Send it again when it is whole."
        )


type Progress = Callable[[int, int], None]
"""(bytes sent, bytes in all)"""


@dataclass(slots=True)
class MultipartUpload:
    """One file on its way to one key, with its metadata; ``states`` is the folder of unfinished uploads.

    ``once`` is a client that repeats nothing: to complete an upload begins a job.
    """

    s3: Any
    once: Any
    bucket: str
    key: str
    metadata: Mapping[str, str]
    path: Path
    states: Path
    _content: str = field(init=False, default="")  # SHA-256 of the file as it was when this began

    def send(self, progress: Progress) -> Mapping[str, Any]:
        """Send what is missing, and return what says the object's version.

        Raises BotoCoreError and ClientError; what was sent until then stays for the next call. Raises
        FileChangedError, with nothing ordered, where the file is written meanwhile.
        """
        state = self._state()
        with suppress(FileNotFoundError, ValueError):
            begun = str(json.loads(state.read_text())["upload_id"])
            there = self._there(begun)
            if there is not None:
                return self._finish(state, begun, there, progress)
            if done := self._completed():
                state.unlink(missing_ok=True)
                return done
        begun = self._begin(state)
        return self._finish(state, begun, {}, progress)

    def _state(self) -> Path:
        """Return where this very upload is kept: these bytes under this key with this metadata."""
        self._content = sha256_of(self.path)
        what = [self.bucket, self.key, dict(self.metadata), self._content, PART]
        name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        return self.states / f"{name}.json"

    def _begin(self, state: Path) -> str:
        begun = self.s3.create_multipart_upload(
            Bucket=self.bucket,
            Key=self.key,
            ContentType="application/zip",
            Metadata=dict(self.metadata),
            ChecksumAlgorithm=PARTS,
        )
        upload_id = str(begun["UploadId"])
        state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = state.with_suffix(".part")
        part.write_text(json.dumps({"upload_id": upload_id}))
        part.replace(state)
        return upload_id

    def _there(self, upload_id: str) -> dict[int, Mapping[str, Any]] | None:
        """Return the parts that S3 has, by number; None where it has no such upload, or does not list it."""
        pages = self.s3.get_paginator("list_parts")
        try:
            return {
                int(part["PartNumber"]): part
                for page in pages.paginate(**self._named, UploadId=upload_id)
                for part in page.get("Parts", ())
            }
        except ClientError as error:
            if _code(error) in GONE | REFUSED:
                return None
            raise

    def _finish(
        self,
        state: Path,
        upload_id: str,
        there: Mapping[int, Mapping[str, Any]],
        progress: Progress,
    ) -> Mapping[str, Any]:
        upload = {**self._named, "UploadId": upload_id}
        try:
            parts = self._sent(upload, there, progress)
            done: Mapping[str, Any] = self.once.complete_multipart_upload(
                **upload, MultipartUpload={"Parts": parts}
            )
        except ClientError as error:
            # Where there is no such upload any more, it may be an object already: another call has completed it.
            found = self._completed() if _code(error) in GONE else None
            if found is None and _code(error) in SPOILT | GONE:
                self._abort(state, upload)
            if found is None:
                raise
            done = found
        except FileChangedError:
            self._abort(state, upload)
            raise
        state.unlink(missing_ok=True)
        return done

    def _sent(
        self,
        upload: Mapping[str, str],
        there: Mapping[int, Mapping[str, Any]],
        progress: Progress,
    ) -> list[dict[str, Any]]:
        """Send the parts that are not there; raises FileChangedError where they are not of one file."""
        size, sent, parts = self.path.stat().st_size, 0, list[dict[str, Any]]()
        content = hashlib.sha256()
        for number, chunk in enumerate(self._chunks(), start=1):
            content.update(chunk)
            part = {"PartNumber": number, "ChecksumCRC32": part_checksum(chunk)}
            has = there.get(number, {})
            # S3 has compared each with its checksum when it came; not every server lists it.
            same = has.get("ChecksumCRC32", part["ChecksumCRC32"]) == part["ChecksumCRC32"]
            if not (same and has.get("Size") == len(chunk)):
                has = self.s3.upload_part(**upload, **part, Body=chunk)
            parts.append({**part, "ETag": has["ETag"]})
            sent += len(chunk)
            progress(sent, size)
        if content.hexdigest() != self._content:
            raise FileChangedError.of(self.path)
        return parts

    def _abort(self, state: Path, upload: Mapping[str, str]) -> None:
        with suppress(ClientError):
            self.s3.abort_multipart_upload(**upload)
        state.unlink(missing_ok=True)

    def _completed(self) -> Mapping[str, Any] | None:
        """Return the object, where an earlier call has completed it and its answer was lost."""
        sums = [
            (zlib.crc32(chunk).to_bytes(4), hashlib.md5(chunk, usedforsecurity=False).digest())
            for chunk in self._chunks()
        ]
        crc32, md5 = (b"".join(each) for each in zip(*sums, strict=True))
        checksum = f"{base64.b64encode(zlib.crc32(crc32).to_bytes(4)).decode()}-{len(sums)}"
        etag = f'"{hashlib.md5(md5, usedforsecurity=False).hexdigest()}-{len(sums)}"'
        try:
            found: Mapping[str, Any] = self.s3.head_object(**self._named, ChecksumMode="ENABLED")
        except ClientError:
            return None
        # A checksum of checksums; where none is kept, the ETag, which is one too unless KMS encrypts the object.
        same = checksum == found.get("ChecksumCRC32") or etag == found.get("ETag")
        return found if same and found.get("Metadata") == dict(self.metadata) else None

    def _chunks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while chunk := file.read(PART):
                yield chunk

    @property
    def _named(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))


def unfinished_uploads() -> Path:
    """Return the folder that says which uploads of this machine are unfinished."""
    return data_folder() / "uploads"
