"""The account's view: what was asked, what it cost, and what can be forgotten."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import MultiDict

from lora_drop.simulator.history import HistoryQuery
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import CallTo, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION, NOW, make_archive

LIST = "/v1/models/requests/by-endpoint"
OTHER = "fal-ai/flux-2-trainer"


def listed(calls: Calls, **query: Any) -> list[dict[str, Any]]:
    response = calls.http.get(LIST, params={"endpoint_id": APPLICATION, **query})
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def ended(calls: Calls, arguments: object = None, **how: Any) -> str:
    request_id = calls.submitted(arguments, **how)
    calls.ended(request_id)
    return request_id


def test_a_request_is_listed_with_what_went_in_and_came_out(calls: Calls) -> None:
    request_id = ended(calls)

    [item] = listed(calls, expand="payloads")

    assert item["request_id"] == request_id
    assert item["endpoint_id"] == APPLICATION
    assert item["status_code"] == 200
    assert item["sent_at"] <= item["started_at"] <= item["ended_at"]
    assert item["duration"] > 0
    assert item["json_input"] == {"images_data_url": DATASET}
    assert item["json_output"] == calls.result(request_id).json()


def test_payloads_are_listed_only_when_asked_for_and_stored(calls: Calls) -> None:
    ended(calls)
    ended(calls, headers={"X-Fal-Store-IO": "0"})

    assert "json_input" not in listed(calls)[0]
    newest, oldest = listed(calls, expand="payloads")
    assert (newest["json_input"], newest["json_output"]) == (None, None)
    assert oldest["json_input"]


def test_a_running_request_is_listed_and_a_waiting_one_is_not(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("training_stuck", times=2)
    running = {calls.submitted(), calls.submitted()}
    calls.submitted()

    items = listed(calls)

    assert {item["request_id"] for item in items} == running
    assert {(item["ended_at"], item["status_code"], item["duration"]) for item in items} == {
        (None, None, None)
    }


def test_requests_can_be_told_by_endpoint_id_status_and_request(
    sim: ControlClient, calls: Calls
) -> None:
    good = ended(calls)
    bad = ended(calls, {"images_data_url": "data:,"})
    sim.inject("training_error", type="internal_server_error")
    broken = ended(calls)
    other = calls.submitted(application=OTHER)
    until(lambda: listed(calls, endpoint_id=OTHER)[0]["ended_at"])

    def ids(**query: Any) -> list[str]:
        return [item["request_id"] for item in listed(calls, **query)]

    assert ids() == [broken, bad, good]
    assert ids(status="success") == [good]
    assert ids(status="user_error") == [bad]
    assert ids(status="error") == [broken]
    assert ids(request_id=bad) == [bad]
    assert ids(endpoint_id=OTHER) == [other]
    assert ids(endpoint_id=f"{OTHER},{APPLICATION}") == [other, broken, bad, good]
    assert ids(endpoint_id=[OTHER, APPLICATION]) == [other, broken, bad, good]


@pytest.mark.parametrize(
    ("query", "found"),
    [({"start": NOW.isoformat()}, 1), ({"end": NOW.isoformat(), "start": "2020-01-01"}, 0)],
    ids=["start", "end"],
)
def test_the_start_of_a_period_is_in_it_and_its_end_is_not(
    query: dict[str, str], found: int
) -> None:
    request = ModelRequest(APPLICATION, {}, None, sent_at=NOW, started_at=NOW)
    period = HistoryQuery.read(MultiDict({"end": "2099-01-01", "endpoint_id": APPLICATION} | query))

    assert len(period.page([request])["items"]) == found


def test_requests_can_be_told_by_time(calls: Calls) -> None:
    request_id = ended(calls)
    [sent_at] = [
        datetime.fromisoformat(item["sent_at"]) for item in listed(calls, request_id=request_id)
    ]
    before, after = sent_at - timedelta(seconds=1), sent_at + timedelta(seconds=1)

    def count(**query: str) -> int:
        return len(listed(calls, **query))

    assert count(start=before.isoformat(), end=after.isoformat()) == 1
    assert count(end=before.isoformat()) == 0
    assert count(start=after.isoformat()) == 0
    assert count(start=before.replace(tzinfo=None).isoformat()) == 1  # UTC where it does not say


def test_pages_follow_each_other_to_the_end(calls: Calls) -> None:
    ids = [ended(calls) for _ in range(5)]
    seen: list[str] = []
    query = {"endpoint_id": APPLICATION, "limit": "2"}

    while True:
        page = calls.http.get(LIST, params=query).json()
        seen += [item["request_id"] for item in page["items"]]
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]

    assert seen == ids[::-1]
    assert page["next_cursor"] is None


def test_the_longest_can_come_first(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_slow", seconds=0.3)
    long, short = ended(calls), ended(calls)

    ids = [item["request_id"] for item in listed(calls, sort_by="duration")]

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
def test_a_query_that_cannot_be_read_is_refused_even_when_there_is_nothing(
    standing: Calls, query: dict[str, str], said: str
) -> None:
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
def test_the_account_is_nobody_elses_business(standing: Calls, method: str, path: str) -> None:
    response = standing.http.request(method, path, headers={"Authorization": "Key wrong"})

    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authorization_error"


def test_what_was_stored_of_a_request_can_be_deleted(calls: Calls) -> None:
    result = calls.trained()
    urls = {result[name]["url"] for name in ("diffusers_lora_file", "config_file")}
    [item] = listed(calls)

    deleted = calls.http.delete(f"/v1/models/requests/{item['request_id']}/payloads").json()

    assert {each["link"] for each in deleted["cdn_delete_results"]} == urls
    assert {each["exception"] for each in deleted["cdn_delete_results"]} == {None}
    assert [calls.http.get(url).status_code for url in urls] == [404, 404]
    [item] = listed(calls, expand="payloads")
    assert (item["json_input"], item["json_output"]) == (None, None)
    assert calls.http.delete("/v1/models/requests/x/payloads").status_code == 404


def test_a_key_of_scope_api_may_neither_delete_nor_see_what_was_billed(
    simulate: Simulate, call: CallTo
) -> None:
    calls = call(simulate(key_scope="API"))
    calls.trained()
    [item] = listed(calls, expand="payloads")

    refused = [
        calls.http.delete(f"/v1/models/requests/{item['request_id']}/payloads"),
        calls.http.get("/v1/models/billing-events"),
        calls.http.get("/v1/account/billing"),
    ]

    assert [each.status_code for each in refused] == [403] * 3
    assert listed(calls, expand="payloads") == [item]


def test_a_deletion_with_the_same_idempotency_key_has_the_same_answer(calls: Calls) -> None:
    calls.trained()
    [item] = listed(calls)
    path = f"/v1/models/requests/{item['request_id']}/payloads"

    first = calls.http.delete(path, headers={"Idempotency-Key": "k"}).json()
    again = calls.http.delete(path, headers={"Idempotency-Key": "k"}).json()
    anew = calls.http.delete(path).json()

    assert again == first != anew == {"cdn_delete_results": []}


def test_an_uploaded_dataset_outlives_the_deletion_of_what_was_made_of_it(calls: Calls) -> None:
    dataset = calls.stored(make_archive())
    request_id = ended(calls, {"images_data_url": dataset})

    calls.http.delete(f"/v1/models/requests/{request_id}/payloads")

    assert calls.http.get(dataset).status_code == 200


def test_webhooks_come_from_the_address_that_the_meta_names(
    simulate: Simulate, call: CallTo
) -> None:
    at_an_address, at_a_name = (call(simulate(host=host)) for host in ("127.0.0.1", "localhost"))

    for calls in (at_an_address, at_a_name):
        meta = calls.http.get("/v1/meta", headers={"Authorization": ""}).json()
        assert meta == {"webhook_ip_ranges": ["127.0.0.1/32"]}


def test_times_are_in_fals_form(calls: Calls) -> None:
    ended(calls)
    [item] = until(lambda: listed(calls))

    assert item["ended_at"].endswith("Z")
    moment = datetime.fromisoformat(item["ended_at"])
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=5)
