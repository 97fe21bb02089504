"""fal's request list, which is read to its end or not used at all."""

import json
from datetime import timedelta

import httpx
import pytest

from lora_drop.adapters.fal_history import FalHistory
from lora_drop.fal.trainers.table import DATASET_FIELDS
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.status import Status
from lora_drop.simulator.running import ControlClient
from tests.support.builders import APPLICATION, NOW, make_job
from tests.support.fal_keys import FixedKey

API = "https://api.fal.ai/v1"
JOB = make_job(Status.SUBMIT_UNKNOWN)
URL = "https://datasets.s3.amazonaws.com/portrait/ada.zip?versionId=v1&X-Amz-Signature=5167"
SINCE = NOW - timedelta(minutes=2)


def row(request_id: str, url: object = URL) -> dict[str, object]:
    return {"request_id": request_id, "json_input": {"images_data_url": url}}


def page(*rows: object, cursor: str | None = None) -> httpx.Response:
    return httpx.Response(
        200, json={"items": rows, "next_cursor": cursor, "has_more": cursor is not None}
    )


def listing(*answers: httpx.Response | Exception) -> tuple[FalHistory, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    left = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        said = next(left)
        if isinstance(said, Exception):
            raise said
        return said

    return FalHistory(FixedKey(" key\n"), f"{API}/", httpx.MockTransport(answer)), asked


@pytest.mark.promise("never pay twice")
def test_requests_are_found_over_all_pages() -> None:
    """Requests for a dataset version are found over all pages of fal's list."""
    history, asked = listing(
        page(row("a"), row("b", "https://elsewhere.example/x.zip"), row("c", None), cursor="2"),
        page({"request_id": "d", "json_input": None}, "junk", row("e"), row("a")),
    )

    assert history.requests_for(JOB, since=SINCE) == ("a", "e")
    assert [dict(request.url.params) for request in asked] == [
        {
            "endpoint_id": APPLICATION,
            "start": "2026-11-24T11:58:00+00:00",
            "expand": "payloads",
            "limit": "100",
            **more,
        }
        for more in ({}, {"cursor": "2"})
    ]
    assert asked[0].headers["Authorization"] == "Key key"


def test_input_as_text_is_read() -> None:
    text = json.dumps({"images_data_url": URL})
    history, _ = listing(page({"request_id": "a", "json_input": text}, row("b"), cursor=None))
    assert history.requests_for(JOB, since=SINCE) == ("a", "b")


UNREADABLE: dict[str, httpx.Response | Exception] = {
    **{f"{code}": httpx.Response(code, json={"detail": "no"}) for code in (401, 403, 429)},
    "500": httpx.Response(500, text="oops"),
    "no JSON": httpx.Response(200, text="<html>"),
    "no list": httpx.Response(200, json={"items": None}),
    "redirect": httpx.Response(302, headers={"Location": "https://evil.example"}),
    "redirect nowhere": httpx.Response(302, headers={"Location": "data:,x"}),
    "timeout": httpx.ReadTimeout("late"),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("answer", UNREADABLE)
def test_partial_list_is_not_used(answer: str) -> None:
    """A list that cannot be read to its end is not used at all."""
    history, _ = listing(page(row("a"), cursor="2"), UNREADABLE[answer])
    with pytest.raises(FalUnavailableError):
        history.requests_for(JOB, since=SINCE)


def test_endless_list_is_given_up() -> None:
    history, asked = listing(*(page(row("a"), cursor="again") for _ in range(60)))
    with pytest.raises(FalUnavailableError, match="longer than 50 pages"):
        history.requests_for(JOB, since=SINCE)
    assert len(asked) == 50


@pytest.mark.parametrize("field", sorted(DATASET_FIELDS))
def test_each_trainer_names_its_dataset_field(field: str) -> None:
    row = {"request_id": "a", "json_input": {field: URL, "steps": 1000, "other": URL}}
    history, _ = listing(page(row, {"request_id": "b", "json_input": {"other": URL, field: 7}}))
    assert history.requests_for(JOB, since=SINCE) == ("a",)


def test_simulator_list_is_read(fal: ControlClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(fal.ca_file))
    with httpx.Client() as client:
        said = client.post(
            f"{fal.base_url}/{APPLICATION}",
            json={"images_data_url": URL},
            headers={"Authorization": f"Key {fal.key}"},
        ).json()
        client.post(
            f"{fal.base_url}/{APPLICATION}",
            json={"images_data_url": URL.replace("v1", "v2")},
            headers={"Authorization": f"Key {fal.key}"},
        )
    history = FalHistory(FixedKey(fal.key), f"{fal.base_url}/v1")

    assert history.requests_for(JOB, since=SINCE) == (said["request_id"],)


OUTPUT = {"diffusers_lora_file": {"url": "https://v3.fal.media/a.safetensors"}}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("item", "files"),
    [
        ({"status_code": 200, "json_output": OUTPUT}, 1),
        ({"status_code": 200, "json_output": json.dumps(OUTPUT)}, 1),
        ({"status_code": 200, "json_output": None}, 0),
        ({"status_code": 200, "json_output": "{"}, 0),
        ({"status_code": 200, "json_output": {"detail": "none"}}, 0),
        ({"status_code": 422, "json_output": OUTPUT}, 0),
        ({"status_code": None, "json_output": OUTPUT}, 0),
        ({"request_id": "another", "status_code": 200, "json_output": OUTPUT}, 0),
    ],
    ids=range(8),
)
def test_stored_output_is_a_result(item: dict[str, object], files: int) -> None:
    """The output that fal has stored of a request is found by the request's id."""
    history, asked = listing(page({"request_id": "a", **item}))
    stored = history.stored_result(APPLICATION, "a")
    assert len(stored.artifacts if stored else ()) == files
    query = {"endpoint_id": APPLICATION, "request_id": "a", "expand": "payloads", "limit": "1"}
    assert dict(asked[0].url.params) == query


def test_unreadable_list_stores_nothing() -> None:
    history, _ = listing(httpx.ReadTimeout("slow"))
    with pytest.raises(FalUnavailableError):
        history.stored_result(APPLICATION, "a")
