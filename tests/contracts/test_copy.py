"""The copier over a bucket that is no double: what it finds there of an earlier try, it goes on with."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.jobs.artifacts import Artifact
from lora_drop.results.copies import Part
from lora_drop.services.copy import Copier, CopyRequest
from tests.support.aws import Aws
from tests.support.builders import make_weights
from tests.support.copying import MemoryNotes
from tests.support.memory_files import MemorySource
from tests.support.outcome import Killed

PART = 5 * 1024**2  # the least that S3 takes
LORA = make_weights(2 * PART + 1)
ARTIFACT = Artifact(name="lora.safetensors", url="https://v3.fal.media/files/a/lora.safetensors")
PREFIX = "ada/ada-0123456789/"


class Dying(S3Copies):
    """A bucket whose user dies at the second part, or right before or after the completion."""

    def __init__(self, aws: Aws, bucket: str, at: str) -> None:
        super().__init__(aws.s3, bucket)
        self._at = at

    def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        if self._at == "part" and number > 1:
            raise Killed
        return super().upload(key, upload_id, number, data)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        if self._at == "after":
            super().complete(key, upload_id, parts)
        raise Killed


@pytest.mark.parametrize("at", ["never", "part", "before", "after"])
def test_a_copy_is_whole_wherever_the_first_try_has_ended(aws: Aws, at: str) -> None:
    bucket = aws.bucket("models")
    source = MemorySource({ARTIFACT.name: LORA})
    request = CopyRequest(ARTIFACT, PREFIX, MemoryNotes(), until=1e12)
    if at != "never":
        with pytest.raises(Killed):
            Copier(Dying(aws, bucket, at), source, PART).copy(request)
    moto = aws.endpoint_url is None  # it lists no checksums, so its parts are not believed
    source.gone = set() if moto or at in ("never", "part") else {ARTIFACT.url}
    source.reads.clear()

    stored = Copier(S3Copies(aws.s3, bucket), source, PART).copy(request)

    body = aws.s3.get_object(Bucket=bucket, Key=stored.key)["Body"].read()
    assert body == LORA
    assert stored == S3Copies(aws.s3, bucket).reread(stored.key)
    assert aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    if not moto and at == "part":
        assert sorted(offset for _, offset in source.reads) == [PART, 2 * PART]


def test_a_persons_file_stays_and_ours_lies_beside_it(aws: Aws) -> None:
    bucket = aws.bucket("models")
    aws.s3.put_object(Bucket=bucket, Key=PREFIX + ARTIFACT.name, Body=bytes(len(LORA)))
    request = CopyRequest(ARTIFACT, PREFIX, MemoryNotes(), until=1e12)
    copier = Copier(S3Copies(aws.s3, bucket), MemorySource({ARTIFACT.name: LORA}), PART)

    stored = copier.copy(request)

    theirs = aws.s3.get_object(Bucket=bucket, Key=PREFIX + ARTIFACT.name)["Body"].read()
    assert theirs == bytes(len(LORA))
    assert stored.name == "2-lora.safetensors"
    assert copier.copy(replace(request, notes=MemoryNotes())) == stored
    assert aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
