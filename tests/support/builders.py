"""Valid by default; a keyword deviates."""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

from nacl.signing import SigningKey

from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.fal.webhooks import SignedHeaders
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import TRANSITIONS, Status

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
APPLICATION = "fal-ai/flux-lora-portrait-trainer"
REQUEST_ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
USER_ID = "user_1"
SECRET = b"the stack's own webhook secret"
KEY = SigningKey(bytes(range(32)))
ARTIFACTS = (
    Artifact(name="lora.safetensors", url="https://v3.fal.media/files/a/lora.safetensors"),
    Artifact(name="config.json", url="https://v3.fal.media/files/a/config.json"),
)


def make_jpeg(number: int | str = 0, *, side: int = 1024, width: int | None = None) -> bytes:
    """A JPEG that says all a JPEG has to; no two numbers or names make the same, and none has a picture.

    ``side`` pixels high, and as wide where no ``width`` is given.

    ITU T.81: SOI, APP0 (JFIF), SOF0 (8 bits, 3 components), SOS, EOI.
    """
    frame = struct.pack(">HHBHHB", 0xFFC0, 17, 8, side, width or side, 3) + bytes(9)
    scan = b"\xff\xda\x00\x0c\x03" + bytes(9)
    jfif = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    return b"\xff\xd8" + jfif + frame + scan + f"photo {number}".encode() + b"\xff\xd9"


def with_exif(number: int) -> bytes:
    """The same JPEG with what a camera writes into one (EXIF 3.0, 4.5.4: APP1, a TIFF header)."""
    jpeg = make_jpeg(number)
    return jpeg[:2] + b"\xff\xe1\x00\x10Exif\x00\x00II*\x00\x08\x00\x00\x00" + jpeg[2:]


def make_png(number: int = 0, *, side: int = 1024) -> bytes:
    """A PNG of the same kind (ISO 15948: IHDR, IDAT, IEND)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", f"picture {number}".encode())
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def make_webp(*, side: int = 1024) -> bytes:
    """A WEBP of the same kind (RFC 6386 9.1: frame tag, start code, width, height)."""
    frame = b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", side, side) + bytes(6)
    body = b"WEBPVP8 " + len(frame).to_bytes(4, "little") + frame
    return b"RIFF" + len(body).to_bytes(4, "little") + body


JPEG, PNG, WEBP = make_jpeg(), make_png(), make_webp()


def make_archive(
    *,
    images: int = 12,
    folder: str = "",
    training: Any = None,
    members: Mapping[str, bytes] | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A ZIP of this many JPEGs, ``training.json`` where given, and further members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for number in range(images):
            archive.writestr(f"{folder}photo-{number:02}.jpg", make_jpeg(number))
        if training is not None:
            text = training if isinstance(training, str) else json.dumps(training)
            archive.writestr(f"{folder}training.json", text)
        for name, data in (members or {}).items():
            archive.writestr(name, data)
    return buffer.getvalue()


def make_weights(size: int = 64, seed: bytes = b"weights") -> bytes:
    """A sound safetensors file with one tensor of so many bytes."""
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"lora": tensor}).encode()
    data = hashlib.shake_128(seed).digest(size)
    return len(header).to_bytes(8, "little") + header + data


def make_dataset(key: str = "portrait/ada.zip", **changes: Any) -> DatasetVersion:
    usual = {"bucket": "datasets", "key": key, "version_id": "v1", "etag": "e1", "size": 1000}
    return DatasetVersion(**{**usual, **changes})


def make_job(status: Status = Status.RECEIVED, **changes: Any) -> Job:
    """A job that came to this status by legal moves."""
    job = Job.receive(make_dataset(), application=APPLICATION, now=NOW)
    for step in path_to(status):
        job = job.move(step, now=NOW + timedelta(seconds=1), **learnt(step))
    return job.model_copy(update=changes)


# How a job comes on without a check or a training of its own, or without waiting for it.
BY_OTHERS = {
    *((Status.RECEIVED, Status.SUCCEEDED), (Status.RECEIVED, Status.CANCELLED)),
    *((Status.READY, Status.STORING), (Status.HELD, Status.STORING)),
}


def path_to(status: Status) -> tuple[Status, ...]:
    """The shortest way from RECEIVED by transitions of the job alone."""
    ways: list[tuple[Status, ...]] = [()]
    for way in ways:
        here = way[-1] if way else Status.RECEIVED
        if here is status:
            return way
        if here.terminal:
            continue
        steps = sorted(to for to in TRANSITIONS[here] if (here, to) not in BY_OTHERS)
        ways += [(*way, to) for to in steps if to not in way]
    raise AssertionError(f"{status} cannot be reached")


def learnt(step: Status) -> dict[str, Any]:
    """What a job learns on the way into a status."""
    if step is Status.READY:
        parameters = TrainingParameters(steps=2500, trigger_phrase="TOK_12345678")
        return {"images": 12, "parameters": parameters, "estimated_cost_usd": 6.0}
    if step is Status.SUBMITTED:
        return {"request_id": REQUEST_ID}
    return {"artifacts": ARTIFACTS} if step is Status.STORING else {}


def webhook_body(**changes: Any) -> bytes:
    """A success in fal's own form: sorted keys, ``error`` null."""
    payload = {
        "diffusers_lora_file": {
            "url": "https://v3.fal.media/files/a/lora.safetensors",
            "content_type": "application/octet-stream",
            "file_name": "pytorch_lora_weights.safetensors",
            "file_size": len(make_weights()),
        },
        "config_file": {
            "url": "https://v3.fal.media/files/a/config.json",
            "content_type": "application/json",
            "file_name": "config.json",
            "file_size": 2,
        },
    }
    body = {
        "request_id": REQUEST_ID,
        "gateway_request_id": REQUEST_ID,
        "status": "OK",
        "error": None,
        "payload": payload,
    }
    return json.dumps({**body, **changes}, sort_keys=True).encode()


def signed(
    body: bytes,
    *,
    request_id: str = REQUEST_ID,
    user_id: str = USER_ID,
    at: datetime = NOW,
    key: SigningKey = KEY,
) -> dict[str, list[str]]:
    """The four headers that fal would send with this body."""
    timestamp = str(int(at.timestamp()))
    message = SignedHeaders(request_id, user_id, timestamp, b"").message(body)
    return {
        "X-Fal-Webhook-Request-Id": [request_id],
        "X-Fal-Webhook-User-Id": [user_id],
        "X-Fal-Webhook-Timestamp": [timestamp],
        "X-Fal-Webhook-Signature": [key.sign(message).signature.hex()],
    }


def s3_event(dataset: DatasetVersion, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    """S3's notification, as it is sent."""
    there = {
        "key": quote_plus(dataset.key, safe="/"),
        "size": dataset.size,
        "eTag": dataset.etag,
        "versionId": dataset.version_id,
        "sequencer": "0055AED6DCD90281E5",
    }
    s3 = {"s3SchemaVersion": "1.0", "bucket": {"name": dataset.bucket}, "object": there}
    record = {"eventVersion": "2.6", "eventSource": "aws:s3", "eventName": name, "s3": s3}
    return {"Records": [record]}


# A person who acts on jobs, and two things that fal says of a request.
ADA = "arn:aws:iam::123456789012:user/ada"
BAD_IMAGE = Problem(code="fal_image_load_error", message="One of the images cannot be read.")
LOCKED = Problem(code="fal_account_locked", message="Top up the balance.")
