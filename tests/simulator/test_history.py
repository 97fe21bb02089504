"""The account's view: what was asked, and what can be deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import MultiDict

from lora_drop.simulator.history import HistoryQuery
from lora_drop.simulator.requests import ModelRequest
from tests.simulator.conftest import Clock, FakeSleeps, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION, NOW, make_archive

LIST = "/v1/models/requests/by-endpoint"
OTHER = "fal-ai/flux-2-trainer"


def listed(calls: Calls, **query: Any) -> list[dict[str, Any]]:
    response = calls.http.get(LIST, params={"endpoint_id": APPLICATION, **query})
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def test_request_is_listed_with_payloads(calls: Calls) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)  # fal's form has no more digits
    request_id = calls.run()
    [item] = listed(calls, expand="payloads")
    assert item["request_id"] == request_id
    assert item["endpoint_id"] == APPLICATION
    assert item["status_code"] == 200
    assert item["sent_at"] <= item["started_at"] <= item["ended_at"]
    assert item["ended_at"].endswith("Z")
    assert before <= datetime.fromisoformat(item["ended_at"]) <= datetime.now(UTC)
    assert item["duration"] > 0
    assert item["json_input"] == {"images_data_url": DATASET}
    assert item["json_output"] == calls.result(request_id).json()


def test_payloads_are_listed_if_stored(calls: Calls) -> None:
    calls.run()
    calls.run(headers={"X-Fal-Store-IO": "0"})
    assert "json_input" not in listed(calls)[0]
    newest, oldest = listed(calls, expand="payloads")
    assert (newest["json_input"], newest["json_output"]) == (None, None)
    assert oldest["json_input"]


def test_waiting_request_is_not_listed(calls: Calls) -> None:
    calls.inject("training_stuck", times=2)
    running = {calls.submitted(), calls.submitted()}
    calls.submitted()
    items = listed(calls)
    assert {item["request_id"] for item in items} == running
    assert {(item["ended_at"], item["status_code"], item["duration"]) for item in items} == {
        (None, None, None)
    }


def test_requests_can_be_filtered(calls: Calls) -> None:
    good = calls.run()
    bad = calls.run({"images_data_url": "data:,"})
    calls.inject("training_error", type="internal_server_error")
    broken = calls.run()
    other = calls.submitted(application=OTHER)
    until(lambda: listed(calls, endpoint_id=OTHER)[0]["ended_at"])
    every = [other, broken, bad, good]
    wanted: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [broken, bad, good]),
        ({"status": "success"}, [good]),
        ({"status": "user_error"}, [bad]),
        ({"status": "error"}, [broken]),
        ({"request_id": bad}, [bad]),
        ({"endpoint_id": OTHER}, [other]),
        ({"endpoint_id": f"{OTHER},{APPLICATION}"}, every),
        ({"endpoint_id": [OTHER, APPLICATION]}, every),
    ]
    found = [[item["request_id"] for item in listed(calls, **query)] for query, _ in wanted]
    assert found == [ids for _, ids in wanted]
    query = {"endpoint_id": f"{OTHER},{APPLICATION}", "limit": "3"}
    first = calls.http.get(LIST, params=query).json()
    last = calls.http.get(LIST, params={**query, "cursor": first["next_cursor"]}).json()
    pages = [[item["request_id"] for item in page["items"]] for page in (first, last)]
    assert pages == [every[:3], every[3:]]
    assert (first["has_more"], last["has_more"], last["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize(
    ("query", "found"),
    [({"start": NOW.isoformat()}, 1), ({"end": NOW.isoformat(), "start": "2020-01-01"}, 0)],
    ids=["start", "end"],
)
def test_period_includes_its_start_only(query: dict[str, str], found: int) -> None:
    request = ModelRequest(APPLICATION, {}, None, sent_at=NOW, started_at=NOW)
    period = HistoryQuery.read(MultiDict({"end": "2099-01-01", "endpoint_id": APPLICATION} | query))
    assert len(period.page([request])["items"]) == found


def test_requests_can_be_filtered_by_time(calls: Calls) -> None:
    calls.run()
    sent_at = datetime.fromisoformat(listed(calls)[0]["sent_at"])
    before, after = sent_at - timedelta(seconds=1), sent_at + timedelta(seconds=1)

    def count(**query: str) -> int:
        return len(listed(calls, **query))

    assert count(start=before.isoformat(), end=after.isoformat()) == 1
    assert count(end=before.isoformat()) == 0
    assert count(start=after.isoformat(), end="2099-01-01") == 0
    assert count(start=before.replace(tzinfo=None).isoformat()) == 1  # UTC where it does not say


def test_longest_can_come_first(calls: Calls, clock: Clock, fake_sleep: FakeSleeps) -> None:
    sleep = fake_sleep("trainer", held_from=0)
    long = calls.submitted()
    until(lambda: calls.status(long)["status"] == "IN_PROGRESS")
    clock.add(1000)
    sleep.go_on.set()
    calls.ended(long)
    short = calls.run()
    until_now = {"start": "2020-01-01", "end": (clock.now() + timedelta(hours=1)).isoformat()}
    ids = [item["request_id"] for item in listed(calls, sort_by="duration", **until_now)]
    assert ids == [long, short]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"endpoint_id": ""}, "endpoint_id is required"),
        ({"endpoint_id": ",".join("x" * 51)}, "endpoint_id is required, 1 to 50 times"),
        ({"status": "good"}, "status is one of success, user_error, error"),
        ({"sort_by": "size"}, "sort_by is one of ended_at, duration"),
        ({"start": "yesterday"}, "start is not an ISO 8601 time"),
        ({"end": "later"}, "end is not an ISO 8601 time"),
        ({"limit": "0"}, "limit is from 1 to 100"),
        ({"limit": "101"}, "limit is from 1 to 100"),
        ({"limit": "all"}, "limit is from 1 to 100"),
        ({"cursor": "é"}, "cursor is not one that was given out"),
        ({"cursor": "LTU="}, "cursor is not one that was given out"),
    ],
    ids=str,
)
def test_unreadable_query_is_refused(standing: Calls, query: dict[str, str], said: str) -> None:
    response = standing.http.get(LIST, params={"endpoint_id": APPLICATION, **query})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "validation_error"
    assert said in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{LIST}?endpoint_id={APPLICATION}"),
        ("DELETE", "/v1/models/requests/x/payloads"),
        ("GET", "/v1/models/pricing"),
        ("POST", "/v1/models/pricing/estimate"),
        ("GET", "/v1/models/billing-events"),
        ("GET", "/v1/account/billing"),
    ],
)
def test_account_needs_its_key(standing: Calls, method: str, path: str) -> None:
    response = standing.http.request(method, path, headers={"Authorization": "Key wrong"})
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authorization_error"


def test_stored_payloads_can_be_deleted(calls: Calls) -> None:
    dataset = calls.stored(make_archive())
    result = calls.trained({"images_data_url": dataset})
    urls = {result[name]["url"] for name in ("diffusers_lora_file", "config_file")}
    [item] = listed(calls)
    path = f"/v1/models/requests/{item['request_id']}/payloads"
    deleted = calls.http.delete(path, headers={"Idempotency-Key": "k"}).json()

    assert {each["link"] for each in deleted["cdn_delete_results"]} == urls
    assert {each["exception"] for each in deleted["cdn_delete_results"]} == {None}
    assert [calls.http.get(url).status_code for url in urls] == [404, 404]
    assert calls.http.get(dataset).status_code == 200
    [item] = listed(calls, expand="payloads")
    assert (item["json_input"], item["json_output"]) == (None, None)
    assert calls.http.delete("/v1/models/requests/x/payloads").status_code == 404
    # The same idempotency key has the same answer.
    assert calls.http.delete(path, headers={"Idempotency-Key": "k"}).json() == deleted
    assert calls.http.delete(path).json() == {"cdn_delete_results": []}


def test_key_of_scope_api_is_limited(simulate: Simulate) -> None:
    calls = simulate(key_scope="API")
    request_id = calls.run()
    [item] = listed(calls, expand="payloads")
    refused = [
        calls.http.delete(f"/v1/models/requests/{request_id}/payloads"),
        calls.http.get("/v1/models/billing-events"),
        calls.http.get("/v1/account/billing"),
    ]
    assert [each.status_code for each in refused] == [403] * 3
    assert listed(calls, expand="payloads") == [item]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_meta_names_the_webhooks_addresses(simulate: Simulate, host: str) -> None:
    meta = simulate(host=host).http.get("/v1/meta", headers={"Authorization": ""}).json()
    assert meta == {"webhook_ip_ranges": ["127.0.0.1/32"]}
