"""fal_client's asynchronous calls, as they are, against the simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import fal_client
import pytest
from fal_client.client import FalClientHTTPError

from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import PointFalClient
from tests.simulator.fal_calls import DATASET
from tests.support.builders import APPLICATION, make_archive

ARGUMENTS = {"images_data_url": DATASET, "steps": 1000}


@pytest.fixture
def asynchronously(sim: ControlClient, point_fal_client: PointFalClient) -> "Asynchronously":
    """Runs something with an AsyncClient, and closes what it leaves open."""
    point_fal_client(sim)

    async def with_client[T](ask: Callable[[fal_client.AsyncClient], Awaitable[T]]) -> T:
        client = fal_client.AsyncClient()
        try:
            return await ask(client)
        finally:
            await (await client._client).aclose()

    def run[T](ask: Callable[[fal_client.AsyncClient], Awaitable[T]]) -> T:
        return asyncio.run(with_client(ask))

    return run


type Asynchronously = Callable[[Callable[[fal_client.AsyncClient], Awaitable[object]]], object]


def test_subscribing_tells_the_progress_and_returns_the_files(
    sim: ControlClient, asynchronously: Asynchronously
) -> None:
    sim.inject("training_slow", seconds=0.4)
    seen: list[str] = []

    def on_queue_update(update: fal_client.Status) -> None:
        if isinstance(update, fal_client.InProgress):
            seen.extend(log["message"] for log in update.logs or [])

    async def ask(client: fal_client.AsyncClient) -> None:
        result = await client.subscribe(
            APPLICATION, ARGUMENTS, with_logs=True, on_queue_update=on_queue_update
        )
        assert set(result) == {"diffusers_lora_file", "config_file"}

    asynchronously(ask)

    assert "Loading model weights..." in seen


def test_a_request_can_be_submitted_followed_and_fetched(
    sim: ControlClient, asynchronously: Asynchronously
) -> None:
    async def ask(client: fal_client.AsyncClient) -> None:
        handle = await client.submit(APPLICATION, ARGUMENTS, webhook_url="http://127.0.0.1:9/hook")
        events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
        status = await client.status(APPLICATION, handle.request_id, with_logs=True)
        result = await client.result(APPLICATION, handle.request_id)
        assert isinstance(events[-1], fal_client.Completed)
        assert isinstance(status, fal_client.Completed)
        assert status.logs
        assert result["diffusers_lora_file"]["file_size"] > 0

    asynchronously(ask)

    assert [request["webhook_url"] for request in sim.requests()] == ["http://127.0.0.1:9/hook"]


def test_a_running_request_can_be_cancelled(
    sim: ControlClient, asynchronously: Asynchronously
) -> None:
    sim.inject("training_stuck")

    async def ask(client: fal_client.AsyncClient) -> None:
        handle = await client.submit(APPLICATION, ARGUMENTS)
        await client.cancel(APPLICATION, handle.request_id)
        with pytest.raises(FalClientHTTPError) as ended:
            await handle.get()
        assert ended.value.status_code == 499

    asynchronously(ask)

    assert [request["cancelled"] for request in sim.requests()] == [True]


def test_an_uploaded_file_trains(
    sim: ControlClient, asynchronously: Asynchronously, tmp_path: Path
) -> None:
    photos = tmp_path / "photos.zip"
    photos.write_bytes(make_archive(images=11))

    async def ask(client: fal_client.AsyncClient) -> None:
        url = await client.upload_file(photos)
        await client.subscribe(APPLICATION, {"images_data_url": url})

    asynchronously(ask)

    assert [row["images"] for row in sim.ledger()["datasets"]] == [11]


def test_a_large_file_is_uploaded_in_parts(
    sim: ControlClient,
    asynchronously: Asynchronously,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 1000)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 700)
    photos = tmp_path / "photos.zip"
    photos.write_bytes(make_archive(images=30))

    async def ask(client: fal_client.AsyncClient) -> None:
        url = await client.upload_file(photos)
        await client.subscribe(APPLICATION, {"images_data_url": url})

    asynchronously(ask)

    [row] = sim.ledger()["datasets"]
    assert (row["bytes"], row["images"]) == (photos.stat().st_size, 30)
