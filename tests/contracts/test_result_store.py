import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from shared.adapters.s3 import PART, S3Results
from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.errors import DownloadInterrupted
from shared.ports import ResultStore
from tests.aws import Aws
from tests.memory import MemoryResults

PREFIX = "portrait/a b+c \u5199\u771f/ada-0123456789/"
LORA = Artifact(
    name="lora.safetensors", url="https://v3.fal.media/a", content_type="application/octet-stream"
)


@dataclass
class Place:
    """A store, and what a person sees of it."""

    store: ResultStore
    bucket: str
    aws: Aws | None

    def files(self) -> dict[str, bytes]:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return dict(self.store.files)
        listed = self.aws.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: self._read(item["Key"]) for item in listed}

    def unfinished_uploads(self) -> int:
        if self.aws is None:
            return 0
        return len(self.aws.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def _read(self, key: str) -> bytes:
        assert self.aws
        return self.aws.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


@pytest.fixture
def place(backend: Aws | None) -> Place:
    if backend is None:
        return Place(MemoryResults(), "models", None)
    bucket = backend.bucket("models")
    return Place(S3Results(backend.s3, bucket), bucket, backend)


def chunks(data: bytes, size: int = 1024 * 1024) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def breaking(data: bytes) -> Iterator[bytes]:
    yield from chunks(data)
    raise DownloadInterrupted("the connection broke")


def test_a_text_is_put_and_described(place: Place) -> None:
    text = "\u5199\u771f: it worked.\n"

    stored = place.store.write(PREFIX + "ERROR.txt", text, "text/plain")

    assert stored == StoredFile(
        name="ERROR.txt",
        bucket=place.bucket,
        key=PREFIX + "ERROR.txt",
        size=len(text.encode()),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    assert place.files() == {PREFIX + "ERROR.txt": text.encode()}


def test_a_text_goes_over_an_earlier_one(place: Place) -> None:
    place.store.write(PREFIX + "status.json", "a longer text", "application/json")

    place.store.write(PREFIX + "status.json", "short", "application/json")

    assert place.files() == {PREFIX + "status.json": b"short"}


def test_a_text_is_removed(place: Place) -> None:
    place.store.write(PREFIX + "ERROR.txt", "x", "text/plain")
    place.store.write(PREFIX + "status.json", "{}", "application/json")

    place.store.remove(PREFIX + "ERROR.txt")

    assert place.files() == {PREFIX + "status.json": b"{}"}


def test_removing_what_is_not_there_is_fine(place: Place) -> None:
    place.store.remove(PREFIX + "ERROR.txt")

    assert place.files() == {}


@pytest.mark.parametrize(
    "size",
    [0, 1, 1000, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 12345],
    ids=["0", "1", "1000", "part-1", "part", "part+1", "2 parts", "3 parts"],
)
def test_a_file_of_any_size_arrives_whole_with_its_hash(place: Place, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]

    stored = place.store.store(PREFIX + LORA.name, LORA, chunks(data))

    assert stored == StoredFile(
        name=LORA.name,
        bucket=place.bucket,
        key=PREFIX + LORA.name,
        size=size,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    assert place.files() == {PREFIX + LORA.name: data}
    assert place.unfinished_uploads() == 0


@pytest.mark.parametrize("size", [1, 12345, PART * 2])
def test_the_size_of_the_pieces_does_not_matter(place: Place, size: int) -> None:
    data = b"weights" * 300

    stored = place.store.store(PREFIX + LORA.name, LORA, chunks(data, size))

    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert place.files() == {PREFIX + LORA.name: data}


@pytest.mark.parametrize("size", [0, 1000, PART, 2 * PART + 5], ids=["0", "1000", "1 part", "3"])
def test_a_source_that_breaks_leaves_nothing_behind(place: Place, size: int) -> None:
    with pytest.raises(DownloadInterrupted):
        place.store.store(PREFIX + LORA.name, LORA, breaking(bytes(size)))

    assert place.files() == {}
    assert place.unfinished_uploads() == 0


def test_a_source_that_breaks_leaves_an_earlier_file_as_it_was(place: Place) -> None:
    place.store.store(PREFIX + LORA.name, LORA, chunks(b"whole"))

    with pytest.raises(DownloadInterrupted):
        place.store.store(PREFIX + LORA.name, LORA, breaking(bytes(PART + 5)))

    assert place.files() == {PREFIX + LORA.name: b"whole"}


def test_a_file_is_stored_over_an_earlier_one(place: Place) -> None:
    place.store.store(PREFIX + LORA.name, LORA, chunks(bytes(PART + 5)))

    place.store.store(PREFIX + LORA.name, LORA, chunks(b"again"))

    assert place.files() == {PREFIX + LORA.name: b"again"}
