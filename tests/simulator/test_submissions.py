"""What happens to a paid POST: each outcome, and whether a request is left behind."""

import fal_client
import httpx
import pytest

from tests.simulator.conftest import FakeSleeps
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION

IMPATIENT = httpx.Timeout(60.0, read=0.1)


def test_lost_answer_leaves_a_paid_request(calls: Calls) -> None:
    calls.inject("submit_answer_lost")
    with pytest.raises(httpx.TransportError):
        calls.submit()

    [request] = calls.sim.requests()
    calls.ended(request["request_id"])
    [row] = calls.rows("submissions")
    assert (row["accepted"], row["status"], row["fault"]) == (True, None, "submit_answer_lost")
    assert row["request_id"] == request["request_id"]


@pytest.mark.parametrize(
    ("fault", "settings", "times"),
    [("submit_answer_lost", {}, 1), ("submit_status", {"accepted": True}, 2)],
    ids=["lost answer", "502"],
)
def test_fal_client_pays_again(
    calls: Calls, fal: fal_client.SyncClient, fault: str, settings: dict[str, bool], times: int
) -> None:
    """fal_client repeats a POST whose answer is lost or a proxy's, and each is paid."""
    calls.inject(fault, times=times, **settings)
    handle = fal.submit(APPLICATION, {"images_data_url": DATASET})
    assert calls.accepted() == [True] * (times + 1)
    assert calls.sim.requests()[-1]["request_id"] == handle.request_id


def test_connection_that_breaks_before(calls: Calls) -> None:
    calls.inject("submit_reset_before")
    with pytest.raises(httpx.TransportError):
        calls.submit()
    assert calls.sim.requests() == []
    assert calls.accepted() == [False]


def test_stalled_answer_comes_late(calls: Calls, fake_sleep: FakeSleeps) -> None:
    """The answer comes late, for a request that is there; a stall does not delay the simulator's end."""
    calls.inject("submit_stall")
    with pytest.raises(httpx.ReadTimeout):
        calls.http.post(f"/{APPLICATION}", json={"images_data_url": DATASET}, timeout=IMPATIENT)
    until(lambda: calls.accepted() == [True])
    sleep = fake_sleep("queue_api")
    calls.inject("submit_stall", seconds=400)
    response = calls.submit()

    assert sleep.seconds == [400]
    assert calls.sim.requests()[1]["request_id"] == response.json()["request_id"]
    assert calls.accepted() == [True, True]


@pytest.mark.parametrize(
    ("fault", "content"), [("submit_garbage", b"\x00\xffnot json at all\n"), ("submit_empty", b"")]
)
def test_unreadable_answer_leaves_paid_request(calls: Calls, fault: str, content: bytes) -> None:
    calls.inject(fault)
    response = calls.submit()
    assert (response.status_code, response.content) == (200, content)
    assert calls.accepted() == [True]


def test_truncated_answer_leaves_paid_request(calls: Calls) -> None:
    calls.inject("submit_truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        calls.submit()
    assert calls.accepted() == [True]


@pytest.mark.parametrize("status", [400, 404, 408, 409, 422, 429, 500, 503, 504])
def test_any_status_in_fals_form(calls: Calls, status: int) -> None:
    calls.inject("submit_status", status=status, form="fal", detail="No.")
    response = calls.submit()
    assert (response.status_code, response.json()) == (status, {"detail": "No."})
    assert "x-fal-request-id" not in response.headers
    assert calls.accepted() == [False]


@pytest.mark.parametrize(
    ("settings", "status", "title"),
    [
        ({}, 502, "502 Bad Gateway"),
        ({"status": 520}, 520, "520 Error"),
        ({"accepted": True}, 502, "502 Bad Gateway"),
    ],
    ids=["502", "a status without a name", "accepted"],
)
def test_status_of_a_proxy(
    calls: Calls, settings: dict[str, bool | int], status: int, title: str
) -> None:
    """It is HTML that names nginx, and can hide a request that was accepted."""
    calls.inject("submit_status", **settings)
    response = calls.submit()
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert f"<h1>{title}</h1>" in response.text
    assert "nginx" in response.text
    assert calls.accepted() == [settings.get("accepted", False)]


def test_exhausted_balance_in_fals_words(calls: Calls) -> None:
    calls.inject("balance_exhausted")
    response = calls.submit()
    assert response.status_code == 403
    assert response.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
    assert calls.sim.requests() == []


def test_wrong_key_is_refused_and_recorded(calls: Calls) -> None:
    key = calls.sim.key
    answers = [
        calls.submit(headers={"Authorization": given})
        for given in ("", "Key wrong", f"Bearer {key}", key)
    ]

    assert [answer.status_code for answer in answers] == [401] * 4
    rows = calls.rows("submissions")
    assert [(row["accepted"], row["status"]) for row in rows] == [(False, 401)] * 4
    assert calls.sim.requests() == []
