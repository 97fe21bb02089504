"""Every port's promises are tested on the fake and on the adapter, over two emulators of AWS."""

from collections.abc import Iterator
from itertools import count

import pytest

from lora_drop.adapters import s3_datasets
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.adapters.s3_eraser import S3Eraser
from lora_drop.datasets.owner_metadata import FETCHED_FROM
from lora_drop.local.emulator import running_emulator
from lora_drop.ports import JobStore
from tests.contracts.builders import FetchedDatasets, S3Drops, Shelf
from tests.support.aws import Aws, moto
from tests.support.bucket import Place
from tests.support.memory import MemoryDatasetCopies, MemoryDatasets
from tests.support.memory_jobs import MemoryJobs

MEMORY = "memory"
BACKENDS = [MEMORY, "moto", "ministack"]
NUMBERS = count(1)  # the emulator lives longer than a test


@pytest.fixture(scope="session")
def ministack() -> Iterator[str]:
    """The address of an emulator in a process of its own."""
    with running_emulator() as url:
        yield url


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Aws | None]:
    """An AWS, or None for the fake in memory."""
    if request.param == MEMORY:
        yield None
    else:
        yield from _aws(request)


@pytest.fixture
def jobs(backend: Aws | None) -> JobStore:
    """A job store with a table of its own."""
    return DynamoJobs(backend.dynamodb, backend.table()) if backend else MemoryJobs()


@pytest.fixture
def shelf(backend: Aws | None, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """A datasets bucket of its own, listed in pages of three rows."""
    if backend is None:
        memory = MemoryDatasets(page=3)
        return Shelf(memory, memory, memory, memory)
    monkeypatch.setattr(s3_datasets, "PAGE", 3)
    s3, bucket = backend.s3, backend.bucket("datasets")
    listing = s3_datasets.S3DatasetListing(s3, bucket)
    store, eraser = s3_datasets.S3Datasets(s3, url_seconds=900), S3Eraser(s3, bucket)
    return Shelf(store, listing, eraser, S3Drops(backend, bucket))


@pytest.fixture
def place(backend: Aws | None) -> Place:
    """A models bucket of its own."""
    return Place.of(backend)


@pytest.fixture
def fetched(backend: Aws | None) -> FetchedDatasets:
    """A datasets bucket of its own, as the fetch worker writes into it, and as datasets are read from it."""
    if backend is None:
        datasets = MemoryDatasets()
        return FetchedDatasets(MemoryDatasetCopies(datasets=datasets, bucket="datasets"), datasets)
    s3, bucket = backend.s3, backend.bucket("datasets")
    store = s3_datasets.S3Datasets(s3, url_seconds=900)
    return FetchedDatasets(S3Copies(s3, bucket, source=FETCHED_FROM), store)


@pytest.fixture(params=BACKENDS[1:])
def aws(request: pytest.FixtureRequest) -> Iterator[Aws]:
    """An AWS, for adapters without a fake."""
    yield from _aws(request)


def _aws(request: pytest.FixtureRequest) -> Iterator[Aws]:
    if request.param == "moto":
        with moto() as world:
            yield world
    else:
        yield Aws(request.getfixturevalue("ministack"), NUMBERS)
