"""Every call of fal_client, as it is, blocking and asynchronous, against the simulator."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import fal_client
import pytest
from fal_client.client import FalClientHTTPError
from httpx_sse import EventSource

from tests.simulator.conftest import FakeSleep, FakeSleeps, PointFalClient, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION, make_archive

ARGUMENTS = {"images_data_url": DATASET, "trigger_phrase": "TOK", "steps": 1000}
HALF_WAY = 3  # sleeps of a training after which it is held
OUTPUTS = ["diffusers_lora_file", "config_file"]
type Ask = Callable[[fal_client.AsyncClient], Awaitable[object]]


@pytest.fixture
def asynchronously(calls: Calls, point_fal_client: PointFalClient) -> Callable[[Ask], object]:
    """Run something with an AsyncClient, and close what it leaves open."""
    point_fal_client(calls.sim)

    async def with_client(ask: Ask) -> object:
        client = fal_client.AsyncClient()
        try:
            return await ask(client)
        finally:
            await (await client._client).aclose()

    return lambda ask: asyncio.run(with_client(ask))


class Progress:
    """What was logged so far; the training goes on when a step of it was seen."""

    def __init__(self, sleep: FakeSleep) -> None:
        self.lines: list[str] = []
        self._sleep = sleep

    def __call__(self, update: fal_client.Status) -> None:
        if isinstance(update, fal_client.InProgress):
            self.lines.extend(log["message"] for log in update.logs or [])
        if any("Training: " in line and "/1000 [" in line for line in self.lines):
            self._sleep.go_on.set()


@pytest.mark.parity("subscribe")
def test_subscribing_shows_progress_and_result(
    fal: fal_client.SyncClient, fake_sleep: FakeSleeps
) -> None:
    progress = Progress(fake_sleep("trainer", held_from=HALF_WAY))
    result = fal.subscribe(APPLICATION, ARGUMENTS, with_logs=True, on_queue_update=progress)
    assert "Loading model weights..." in progress.lines
    assert list(result) == OUTPUTS
    assert {name: type(value) for name, value in result["diffusers_lora_file"].items()} == {
        "url": str,
        "content_type": str,
        "file_name": str,
        "file_size": int,
    }
    assert result["diffusers_lora_file"]["content_type"] == "application/octet-stream"
    assert result["config_file"]["content_type"] == "application/json"


@pytest.mark.parity("submit")
def test_submission_returns_its_id(calls: Calls, fal: fal_client.SyncClient) -> None:
    calls.inject("training_stuck")
    handle = fal.submit(APPLICATION, ARGUMENTS, webhook_url="https://hook.example/a?b=c d&e=%2F")
    [request] = calls.sim.requests()
    assert request["request_id"] == handle.request_id
    assert request["arguments"] == ARGUMENTS
    assert request["webhook_url"] == "https://hook.example/a?b=c d&e=%2F"


def test_submitting_asynchronously(calls: Calls, asynchronously: Callable[[Ask], object]) -> None:
    data = make_archive(images=30)

    async def ask(client: fal_client.AsyncClient) -> None:
        arguments = {"images_data_url": await client.upload(data, "application/zip")}
        handle = await client.submit(APPLICATION, arguments, webhook_url="http://127.0.0.1:9/hook")
        events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
        status = await client.status(APPLICATION, handle.request_id, with_logs=True)
        result = await client.result(APPLICATION, handle.request_id)
        assert isinstance(events[-1], fal_client.Completed)
        assert isinstance(status, fal_client.Completed)
        assert status.logs
        assert list(result) == OUTPUTS

    asynchronously(ask)
    assert [row["webhook_url"] for row in calls.sim.requests()] == ["http://127.0.0.1:9/hook"]
    assert [(row["bytes"], row["images"]) for row in calls.rows("datasets")] == [(len(data), 30)]


@pytest.mark.parity("status")
def test_logs_of_a_status_grow(fal: fal_client.SyncClient, fake_sleep: FakeSleeps) -> None:
    sleep = fake_sleep("trainer", held_from=HALF_WAY)
    handle = fal.submit(APPLICATION, ARGUMENTS)

    def messages() -> list[str]:
        logs = getattr(handle.status(with_logs=True), "logs", None) or []
        return [log["message"] for log in logs]

    early = until(messages)
    sleep.go_on.set()
    late = until(lambda: found if len(found := messages()) > len(early) else [])
    assert late[: len(early)] == early
    logs = handle.status(with_logs=True).__dict__["logs"]
    assert {*logs[0]} == {"message", "timestamp", "level", "source"}


def test_logs_come_only_when_wanted(calls: Calls, fal: fal_client.SyncClient) -> None:
    calls.inject("training_stuck")
    handle = fal.submit(APPLICATION, ARGUMENTS)
    assert until(lambda: isinstance(handle.status(), fal_client.InProgress))
    assert handle.status() == fal_client.InProgress(logs=None)


@pytest.mark.parity("status", "result")
def test_id_alone_is_enough(fal: fal_client.SyncClient) -> None:
    request_id = fal.submit(APPLICATION, ARGUMENTS).request_id
    until(lambda: isinstance(fal.status(APPLICATION, request_id), fal_client.Completed))
    status = fal.status(APPLICATION, request_id, with_logs=True)
    assert isinstance(status, fal_client.Completed)
    assert (status.error, status.error_type) == (None, None)
    assert status.metrics["inference_time"] > 0
    assert list(fal.result(APPLICATION, request_id)) == OUTPUTS


def test_events_from_queue_to_end(simulate: Simulate, point_fal_client: PointFalClient) -> None:
    calls = simulate(max_in_progress=1)
    fal = point_fal_client(calls.sim)
    calls.inject("training_stuck", times=2)
    first, second = (fal.submit(APPLICATION, ARGUMENTS) for _ in range(2))
    events = second.iter_events(with_logs=True, interval=0.02)

    assert next(events) == fal_client.Queued(position=0)
    first.cancel()
    then = next(event for event in events if not isinstance(event, fal_client.Queued))
    assert isinstance(then, fal_client.InProgress)
    second.cancel()
    kinds = [type(event) for event in events]
    assert {*kinds[:-1]} <= {fal_client.InProgress}
    assert kinds[-1] is fal_client.Completed


def test_request_cancelled_in_the_queue(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    calls = simulate(max_in_progress=1)
    fal = point_fal_client(calls.sim)
    calls.inject("training_stuck")
    fal.submit(APPLICATION, ARGUMENTS)
    second, third = (fal.submit(APPLICATION, ARGUMENTS) for _ in range(2))
    assert third.status() == fal_client.Queued(position=1)
    fal.cancel(APPLICATION, second.request_id)

    status = second.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"
    assert third.status() == fal_client.Queued(position=0)
    assert second.request_id not in {row["request_id"] for row in calls.rows("datasets")}
    with pytest.raises(FalClientHTTPError) as refused:
        second.cancel()
    assert refused.value.status_code == 400
    assert refused.value.response.json() == {"status": "ALREADY_COMPLETED"}


def test_cancelling_asynchronously(calls: Calls, asynchronously: Callable[[Ask], object]) -> None:
    calls.inject("training_stuck")

    async def ask(client: fal_client.AsyncClient) -> None:
        handle = await client.submit(APPLICATION, ARGUMENTS)
        await client.cancel(APPLICATION, handle.request_id)
        with pytest.raises(FalClientHTTPError) as ended:
            await handle.get()
        assert (ended.value.status_code, ended.value.error_type) == (499, "client_cancelled")

    asynchronously(ask)
    assert [request["cancelled"] for request in calls.sim.requests()] == [True]


def test_status_stream_ends_with_the_request(calls: Calls, fake_sleep: FakeSleeps) -> None:
    sleep = fake_sleep("trainer", held_from=HALF_WAY)
    url = calls.submit().json()["status_url"]
    events: list[dict[str, Any]] = []
    with calls.http.stream("GET", f"{url}/stream", params={"logs": "1"}) as response:
        kind = response.headers["content-type"]
        for event in EventSource(response).iter_sse():
            events.append(event.json())
            sleep.go_on.set()

    assert kind == "text/event-stream"
    assert [event["status"] for event in events][-1] == "COMPLETED"
    assert "IN_PROGRESS" in [event["status"] for event in events]
    sizes = [len(event["logs"]) for event in events]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


PROGRAM = """
import json, os, sys
import fal_client
# fal_client reads its other hosts from the environment; for these two it has constants.
fal_client.client.REST_URL = fal_client.client.CDN_URL = os.environ["FAL_REST_URL"]
arguments = {"images_data_url": fal_client.upload_file(sys.argv[1])}
result = fal_client.subscribe("fal-ai/flux-lora-portrait-trainer", arguments, with_logs=True)
json.dump(result, sys.stdout)
"""


@pytest.mark.parity("upload_file", "FAL_KEY")
def test_environment_alone_points_a_program(calls: Calls, tmp_path: Path) -> None:
    photos = tmp_path / "photos.zip"
    photos.write_bytes(make_archive(images=20))
    env = {**os.environ, **calls.sim.access.environment()}
    program = subprocess.run(  # noqa: S603 -- our own program
        [sys.executable, "-c", PROGRAM, photos], env=env, capture_output=True, check=True
    )
    result = json.loads(program.stdout)
    assert list(result) == OUTPUTS
    assert result["diffusers_lora_file"]["url"].startswith(calls.sim.base_url)
    assert [(row["images"], row["error"]) for row in calls.rows("datasets")] == [(20, None)]
