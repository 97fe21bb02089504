"""What can happen to a paid POST: each outcome, and whether a request is left behind."""

import time

import fal_client
import httpx
import pytest

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import DATASET, Calls
from tests.support.builders import APPLICATION

IMPATIENT = httpx.Timeout(10.0, read=0.1)


def accepted(sim: ControlClient) -> list[bool]:
    return [row["accepted"] for row in sim.ledger()["submissions"]]


def test_a_lost_answer_still_leaves_a_paid_request(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_answer_lost")

    with pytest.raises(httpx.TransportError):
        calls.submit()

    [request] = sim.requests()
    calls.ended(request["request_id"])
    [row] = sim.ledger()["submissions"]
    assert (row["accepted"], row["status"], row["fault"]) == (True, None, "submit_answer_lost")
    assert row["request_id"] == request["request_id"]


def test_fal_client_pays_twice_for_a_lost_answer(
    sim: ControlClient, fal: fal_client.SyncClient
) -> None:
    sim.inject("submit_answer_lost")

    handle = fal.submit(APPLICATION, {"images_data_url": DATASET})

    assert accepted(sim) == [True, True]
    assert sim.requests()[1]["request_id"] == handle.request_id


def test_a_connection_that_breaks_before_leaves_nothing(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_reset_before")

    with pytest.raises(httpx.TransportError):
        calls.submit()

    assert sim.requests() == []
    assert accepted(sim) == [False]


def test_a_stalled_answer_comes_late_for_a_request_that_is_there(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("submit_stall", times=2, seconds=0.4)
    with pytest.raises(httpx.ReadTimeout):
        calls.http.post(f"/{APPLICATION}", json={"images_data_url": DATASET}, timeout=IMPATIENT)
    start = time.monotonic()

    response = calls.submit()

    assert time.monotonic() - start >= 0.4
    assert [request["request_id"] for request in sim.requests()][1:] == [
        response.json()["request_id"]
    ]
    assert accepted(sim) == [True, True]


@pytest.mark.parametrize(
    ("fault", "content"), [("submit_garbage", b"\x00\xffnot json at all\n"), ("submit_empty", b"")]
)
def test_an_unreadable_200_leaves_a_paid_request(
    sim: ControlClient, calls: Calls, fault: str, content: bytes
) -> None:
    sim.inject(fault)

    response = calls.submit()

    assert (response.status_code, response.content) == (200, content)
    assert accepted(sim) == [True]


def test_an_answer_that_ends_in_its_middle_leaves_a_paid_request(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("submit_truncated")

    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        calls.submit()

    assert accepted(sim) == [True]


@pytest.mark.parametrize("status", [400, 404, 408, 409, 422, 429, 500, 503, 504])
def test_any_status_can_be_had_in_fals_form(sim: ControlClient, calls: Calls, status: int) -> None:
    sim.inject("submit_status", status=status, form="fal", detail="No.")

    response = calls.submit()

    assert (response.status_code, response.json()) == (status, {"detail": "No."})
    assert "x-fal-request-id" not in response.headers
    assert accepted(sim) == [False]


def test_a_proxys_502_is_html_that_names_nginx(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_status")

    response = calls.submit()

    assert response.status_code == 502
    assert response.headers["content-type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in response.text
    assert "nginx" in response.text


def test_a_proxys_status_without_a_name_is_answered_as_well(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("submit_status", status=520)

    assert "<h1>520 Error</h1>" in calls.submit().text


def test_a_502_can_hide_a_request_that_was_taken(sim: ControlClient, calls: Calls) -> None:
    sim.inject("submit_status", accepted=True)

    assert calls.submit().status_code == 502
    assert accepted(sim) == [True]


def test_fal_client_repeats_a_proxys_502(sim: ControlClient, fal: fal_client.SyncClient) -> None:
    sim.inject("submit_status", times=2, accepted=True)

    fal.submit(APPLICATION, {"images_data_url": DATASET})

    assert accepted(sim) == [True, True, True]


def test_an_exhausted_balance_refuses_in_fals_words(sim: ControlClient, calls: Calls) -> None:
    sim.inject("balance_exhausted")

    response = calls.submit()

    assert response.status_code == 403
    assert response.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
    assert sim.requests() == []


def test_a_stall_does_not_hold_up_the_end_of_the_simulator(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("submit_stall")
    with pytest.raises(httpx.ReadTimeout):
        calls.http.post(f"/{APPLICATION}", json={"images_data_url": DATASET}, timeout=IMPATIENT)

    assert accepted(sim) == [True]  # and the fixture ends it, within the test's time
