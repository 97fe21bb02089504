"""Copies put together in S3: nothing that lies there is written over, and S3 sees every byte's sum.

The checksum is CRC64NVME, the one that S3 keeps of the whole object however it was uploaded; those
of the parts combine to it. An S3 that keeps none of the whole object is read back instead.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import reduce
from io import SEEK_SET, RawIOBase
from typing import TYPE_CHECKING

from awscrt.checksums import combine_crc64nvme, crc64nvme
from botocore.exceptions import ClientError

from lora_drop.adapters.s3_results import S3Results
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import DownloadInterruptedError, KeyOccupiedError, UploadGoneError
from lora_drop.results.copies import ExistingFile, Label, Part

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

SOURCE = "source"  # of a result
WHOLE = "FULL_OBJECT"
CHUNK = 1024**2
# Ended, made of other parts than ours, or at the same moment as another. S3 on the last (409):
# "re-initiate the multipart upload with CreateMultipartUpload, and re-upload each part".
BEGIN_AGAIN = frozenset(
    {
        *("NoSuchUpload", "InvalidPart", "InvalidPartOrder", "BadDigest"),
        *("ConditionalRequestConflict", "OperationAborted"),
    }
)


class _Body(RawIOBase):
    """A part as it is sent: never copied, which botocore does to a bytearray, and in one piece whatever ``size`` urllib3 asks for (16 KiB)."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = memoryview(data)
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, size: int = -1) -> memoryview | bytes:
        """Return all that is left."""
        rest, self._at = self._data[self._at :], len(self._data)
        return bytes(rest) if size < 0 else rest

    def readinto(self, into: "WriteableBuffer") -> int:
        """Fill a buffer, to be signed."""
        room = memoryview(into)
        piece = self._data[self._at : self._at + len(room)]
        room[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return where it is."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to a place, to be sent again or measured."""
        self._at = offset + (0, self._at, len(self._data))[whence]
        return self._at

    def seekable(self) -> bool:
        """Return that it is."""
        return True


class S3Copies(S3Results):
    """A CopyStore in a bucket; ``source`` names the metadata that a copy is known again by."""

    def __init__(self, client: "S3Client", bucket: str, *, source: str = SOURCE) -> None:
        super().__init__(client, bucket)
        self._source = source
        # The uploads that S3 says it keeps a checksum of the whole object of.
        self._whole: set[str] = set()

    def find(self, key: str) -> ExistingFile | None:
        """Return what lies under a key, by its head."""
        head = self._head(key)
        return head and ExistingFile(head["ContentLength"], head["Metadata"].get(self._source, ""))

    def put(self, key: str, data: bytes, label: Label) -> None:
        """Put the object where nothing lies; raises KeyOccupiedError, and UploadGoneError at a 409."""
        crc = crc64nvme(data)
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=data,
                ContentType=label.kind,
                Metadata=self._metadata(label),
                ChecksumCRC64NVME=_text(crc),
                IfNoneMatch="*",
            )
        except ClientError as error:
            self._refused(key, error)
        self._confirm(key, len(data), crc)

    def begin(self, key: str, label: Label) -> str:
        """Return a new multipart upload."""
        begun = self._client.create_multipart_upload(
            Bucket=self._bucket,
            Key=key,
            ContentType=label.kind,
            Metadata=self._metadata(label),
            ChecksumAlgorithm="CRC64NVME",
            ChecksumType="FULL_OBJECT",
        )
        self._note(begun["UploadId"], begun.get("ChecksumType"))
        return begun["UploadId"]

    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        """Return every part that S3 has with its checksum; raises UploadGoneError."""
        found: dict[int, Part] = {}
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=key, UploadId=upload_id
        )
        try:
            for page in pages:
                self._note(upload_id, page.get("ChecksumType"))
                for row in page.get("Parts", []):
                    if checksum := row.get("ChecksumCRC64NVME"):
                        number = row["PartNumber"]
                        found[number] = Part(number, row["Size"], row["ETag"], checksum)
        except ClientError as error:
            raise _gone(upload_id, error) from error
        return found

    def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        """Upload one part; raises UploadGoneError."""
        checksum = _text(crc64nvme(data))
        try:
            put = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=_Body(data),  # type: ignore[arg-type]  # RawIOBase is no IO in typeshed
                ChecksumCRC64NVME=checksum,
            )
        except ClientError as error:
            raise _gone(upload_id, error) from error
        return Part(number, len(data), put["ETag"], checksum)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Complete the upload where nothing lies, then look; raises KeyOccupiedError and UploadGoneError."""
        size = sum(part.size for part in parts)
        crc = reduce(_combined, parts, 0)
        # One that keeps checksums of parts only (ministack does) takes ours for a wrong one.
        summed = {"ChecksumCRC64NVME": _text(crc), "ChecksumType": WHOLE}
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={
                    "Parts": [
                        {
                            "PartNumber": part.number,
                            "ETag": part.etag,
                            "ChecksumCRC64NVME": part.checksum,
                        }
                        for part in parts
                    ]
                },
                MpuObjectSize=size,
                IfNoneMatch="*",
                **(summed if upload_id in self._whole else {}),  # type: ignore[arg-type]  # literals
            )
        except ClientError as error:
            self._refused(key, error)
            self.abort(key, upload_id)
        self._confirm(key, size, crc)

    def abort(self, key: str, upload_id: str) -> None:
        """Abort a multipart upload; one that is no more is fine."""
        try:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise

    def reread(self, key: str) -> StoredFile:
        """Return the object by its own bytes; raises DownloadInterruptedError when they are not what S3 kept."""
        size, crc, sha256 = self._read(key)
        head = self._head(key)
        if head is None or head["ContentLength"] != size or _whole_crc(head) not in (None, crc):
            name = key.rsplit("/", 1)[-1]
            raise DownloadInterruptedError(
                f"{name} is not what was stored, or was changed meanwhile"
            )
        return self._stored(key, size, sha256)

    def _metadata(self, label: Label) -> dict[str, str]:
        return {**label.metadata, self._source: label.source}

    def _refused(self, key: str, error: ClientError) -> None:
        """Do nothing where something lies there already; raise UploadGoneError, or S3's error."""
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise _gone(key, error) from error

    def _confirm(self, key: str, size: int, crc: int) -> None:
        """Confirm that exactly these bytes lie there, whichever worker put them; raises KeyOccupiedError."""
        head = self._head(key)
        if head is None:
            raise UploadGoneError(f"{key} was taken away at once")
        if head["ContentLength"] == size:
            there = _whole_crc(head)
            if (self._read(key)[1] if there is None else there) == crc:
                return
        raise KeyOccupiedError(f"something else lies at {key}")

    def _read(self, key: str) -> tuple[int, int, str]:
        """Return size, CRC64NVME and SHA-256 of an object's bytes, a little of it in memory at once."""
        size, crc, digest = 0, 0, hashlib.sha256()
        with self._client.get_object(Bucket=self._bucket, Key=key)["Body"] as body:
            while chunk := body.read(CHUNK):
                size += len(chunk)
                crc = crc64nvme(chunk, crc)
                digest.update(chunk)
        return size, crc, digest.hexdigest()

    def _note(self, upload_id: str, checksum_type: str | None) -> None:
        if checksum_type == WHOLE:
            self._whole.add(upload_id)


def _whole_crc(head: "HeadObjectOutputTypeDef") -> int | None:
    """Return the object's own CRC64NVME; None where S3 has another checksum of it, or one of its parts."""
    text = head.get("ChecksumCRC64NVME")
    whole = head.get("ChecksumType", WHOLE) == WHOLE
    return int.from_bytes(base64.b64decode(text)) if text and whole else None


def _combined(crc: int, part: Part) -> int:
    own = int.from_bytes(base64.b64decode(part.checksum))
    both: int = combine_crc64nvme(crc, own, part.size)
    return both


def _text(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(8)).decode()


def _gone(what: str, error: ClientError) -> UploadGoneError:
    """Return the error that it has to be begun again; raise every other S3 error as it is."""
    code = error.response["Error"]["Code"]
    if code not in BEGIN_AGAIN:
        raise error
    return UploadGoneError(f"{what}: {code}")
