"""The LoRA is a real one; how long a result can be had, and under which addresses."""

import hashlib
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors

from lora_drop.simulator.lora import tensors, write_lora
from lora_drop.simulator.queue_api import EVENT_INTERVAL, QueueApi
from tests.simulator.conftest import Clock, Simulate
from tests.simulator.fal_calls import Calls, path, until

WEIGHT = "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"
FAL_JS_135 = 89_745_224  # bytes of the file that https://github.com/fal-ai/fal-js/issues/135 shows


def opened(data: bytes) -> dict[str, dict[str, Any]]:
    """What the safetensors library finds."""
    return dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]  # it ships no types


@pytest.mark.parametrize("rank", [1, 4])
def test_weights_open_with_their_rank(simulate: Simulate, rank: int) -> None:
    calls = simulate(lora_rank=rank)
    file = calls.trained()["diffusers_lora_file"]
    data = calls.http.get(file["url"]).content
    found = opened(data)

    assert len(data) == file["file_size"]
    assert found[WEIGHT]["shape"] == [rank, 3072]
    up = "transformer.transformer_blocks.18.ff.net.0.proj.lora_B.weight"
    assert found[up]["shape"] == [12_288, rank]
    blocks = {".".join(name.split(".")[1:3]) for name in found}
    assert blocks == {f"transformer_blocks.{n}" for n in range(19)} | {
        f"single_transformer_blocks.{n}" for n in range(38)
    }
    halves = [name.replace("lora_A", "lora_B") for name in found if "lora_A" in name]
    assert len(halves) == len(found) / 2 == 19 * 12 + 38 * 3
    assert set(halves) <= found.keys()


def test_fals_rank_has_fals_size() -> None:
    size = sum(2 * first * second for _, (first, second) in tensors(16))
    assert size == 89_653_248
    assert 0 < FAL_JS_135 - size < 100_000  # the header


def test_weights_are_small_and_repeatable(tmp_path: Path) -> None:
    first, again, other = (
        write_lora(tmp_path / str(number), rank=1, seed=seed, metadata={"seed": seed})
        for number, seed in enumerate(("a", "a", "b"))
    )
    data = first.path.read_bytes()
    tensor = opened(data)[WEIGHT]
    halves = struct.iter_unpack("<2s", tensor["data"])
    values = [struct.unpack("<f", b"\x00\x00" + half)[0] for (half,) in halves]

    assert tensor["dtype"] == "BF16"
    assert all(2**-11 <= abs(value) < 2**-7 for value in values)
    assert any(value < 0 for value in values)
    assert first.sha256 == again.sha256 != other.sha256
    assert first.sha256 == hashlib.sha256(data).hexdigest()


def test_ledger_has_the_served_bytes(calls: Calls) -> None:
    file = calls.trained()["diffusers_lora_file"]
    whole = calls.http.get(file["url"]).content
    part = calls.http.get(file["url"], headers={"Range": "bytes=1000-2999"}).content
    rows = calls.rows("served")

    assert [row["sha256"] for row in rows] == [
        hashlib.sha256(data).hexdigest() for data in (whole, part)
    ]
    assert [(row["bytes"], row["status"], row["complete"]) for row in rows] == [
        (file["file_size"], 200, True),
        (2000, 206, True),
    ]
    assert {row["request_id"] for row in rows} == {calls.sim.requests()[0]["request_id"]}
    assert {row["file_name"] for row in rows} == {file["file_name"]}


def test_result_and_status_before_the_end(standing: Calls) -> None:
    """Before the end a status is 202 and a result is refused; from the end on both are 200."""
    http = standing.http
    standing.inject("training_stuck")
    ticket = standing.submit().json()
    early = [http.get(ticket[f"{name}_url"]) for name in ("status", "response")]
    cancelled = http.put(ticket["cancel_url"])
    standing.ended(ticket["request_id"])
    late = http.put(ticket["cancel_url"])

    assert (ticket["status"], ticket["queue_position"]) == ("IN_QUEUE", 0)
    assert [answer.status_code for answer in [*early, cancelled]] == [202, 400, 202]
    assert early[1].json() == {"detail": "Request is still in progress"}
    assert late.json() == {"status": "ALREADY_COMPLETED"}
    done = standing.submit().json()
    standing.ended(done["request_id"])
    urls = (ticket["status_url"], done["status_url"], done["response_url"])
    assert [http.get(url).status_code for url in urls] == [200] * 3


def test_result_is_kept_for_a_while(simulate: Simulate, clock: Clock) -> None:
    calls = simulate(result_retention=1000)
    request_id = calls.run()
    assert calls.result(request_id).status_code == 200
    clock.add(1001)
    gone = calls.result(request_id)
    assert (gone.status_code, gone.json()) == (404, {"status": "NOT_FOUND"})
    assert calls.status(request_id)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("application", "short"),
    [
        ("fal-ai/wan-22-trainer/t2v-a14b", "fal-ai/wan-22-trainer"),
        ("workflows/ada/flow/v1", "workflows/ada/flow"),
    ],
)
def test_requests_lie_under_owner_and_app(standing: Calls, application: str, short: str) -> None:
    ticket = standing.submit(application=application).json()
    assert f"/{short}/requests/{ticket['request_id']}" in ticket["status_url"]
    found = standing.http.get(f"/{short}/requests/{ticket['request_id']}/status")
    assert found.status_code in (200, 202)


def test_request_needs_its_name_and_key(standing: Calls) -> None:
    request_id = standing.submitted()
    guess = path("00000000-0000-4000-8000-000000000000")
    other = path(request_id, "fal-ai/flux-2-trainer")
    unknown = [standing.http.get(url) for url in (guess, f"{guess}/status", other)]
    unknown += [standing.http.get(f"{guess}/status/stream"), standing.http.put(f"{guess}/cancel")]
    said = {(answer.status_code, answer.text) for answer in unknown}
    assert said == {(404, unknown[0].text)}
    assert unknown[0].json() == {"status": "NOT_FOUND"}
    wrong = standing.http.get(path(request_id), headers={"Authorization": "Key wrong"})
    assert wrong.status_code == 401


def test_unread_stream_ends(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    status_body = QueueApi._status_body

    def looked(*of: Any) -> dict[str, Any]:
        looks.append(None)
        return status_body(*of)

    def is_still() -> bool:
        before = len(looks)
        time.sleep(3 * EVENT_INTERVAL)
        return len(looks) == before

    calls.inject("training_stuck")
    url = calls.submit().json()["status_url"]
    monkeypatch.setattr(QueueApi, "_status_body", looked)
    with calls.http.stream("GET", f"{url}/stream") as response:
        next(response.iter_raw())

    assert looks
    assert until(is_still)
