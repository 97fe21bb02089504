"""fal's list of requests, read to its end or not at all, and the deletion of what fal stores."""

import json
from datetime import timedelta

import httpx
import pytest

from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_payloads import FORBIDS, FalPayloads
from lora_drop.fal.proof_prompts import picture_arguments, picture_orders
from lora_drop.fal.trainers.table import DATASET_FIELDS
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.status import Status
from lora_drop.ports import PayloadsErased
from lora_drop.services.proof_sheets import picture_job
from tests.support.builders import APPLICATION, NOW, make_job
from tests.support.wire import FixedKey, Said, Wire

API = "https://api.fal.ai/v1"
JOB = make_job(Status.SUBMIT_UNKNOWN)
URL = "https://datasets.s3.amazonaws.com/portrait/ada.zip?versionId=v1&X-Amz-Signature=5167"
OUTPUT = {"diffusers_lora_file": {"url": "https://v3.fal.media/a.safetensors"}}


def row(request_id: str, url: object = URL) -> dict[str, object]:
    return {"request_id": request_id, "json_input": {"images_data_url": url}}


def page(*rows: object, cursor: str | None = None) -> httpx.Response:
    return httpx.Response(
        200, json={"items": rows, "next_cursor": cursor, "has_more": cursor is not None}
    )


def history(fal: Wire) -> FalHistory:
    return FalHistory(FixedKey(" key\n"), f"{API}/", fal())


def found(fal: Wire) -> object:
    return history(fal).requests_for(JOB, since=NOW - timedelta(minutes=2))


@pytest.mark.promise("never pay twice")
def test_picture_is_found_by_its_whole_input() -> None:
    """A picture's request is found by LoRA, prompt and seed, among those of the other pictures of the same LoRA."""
    orders = picture_orders(JOB.job_id, None, "ada", 2)
    lora = f"https://models.s3.amazonaws.com/{JOB.prefix}lora.safetensors?X-Amz-Signature=1"
    given = [picture_arguments(order, lora) for order in orders]
    rows = [
        {"request_id": "a", "json_input": json.dumps(given[1])},
        {"request_id": "b", "json_input": given[0]},
        {"request_id": "c", "json_input": {**given[0], "seed": 5}},
        row("d"),
    ]
    fal = Wire(page(*rows))
    second = picture_job(JOB, orders[1], now=NOW)
    assert history(fal).requests_for(second, since=NOW) == ("a",)
    assert fal.requests[0].url.params["endpoint_id"] == "fal-ai/flux-lora"


@pytest.mark.promise("never pay twice")
def test_requests_are_found_over_all_pages() -> None:
    """Requests for a dataset version are found over all pages of fal's list."""
    as_text = {"request_id": "f", "json_input": json.dumps({"images_data_url": URL})}
    fal = Wire(
        page(row("a"), row("b", "https://elsewhere.example/x.zip"), row("c", None), cursor="2"),
        page({"request_id": "d", "json_input": None}, "junk", row("e"), row("a"), as_text),
    )
    assert found(fal) == ("a", "e", "f")
    query = {
        "endpoint_id": APPLICATION,
        "start": "2026-11-24T11:58:00+00:00",
        "expand": "payloads",
        "limit": "100",
    }
    asked = [dict(request.url.params) for request in fal.requests]
    assert asked == [query, {**query, "cursor": "2"}]
    assert fal.requests[0].headers["Authorization"] == "Key key"


UNREADABLE: dict[str, Said] = {
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
    with pytest.raises(FalUnavailableError):
        found(Wire(page(row("a"), cursor="2"), UNREADABLE[answer]))
    with pytest.raises(FalUnavailableError):
        history(Wire(UNREADABLE[answer])).stored_result(APPLICATION, "a")


def test_endless_list_is_given_up() -> None:
    fal = Wire(page(row("a"), cursor="again"))
    with pytest.raises(FalUnavailableError, match="longer than 50 pages"):
        found(fal)
    assert len(fal.requests) == 50


@pytest.mark.parametrize("field", sorted(DATASET_FIELDS))
def test_each_trainer_names_its_dataset_field(field: str) -> None:
    row = {"request_id": "a", "json_input": {field: URL, "steps": 1000, "other": URL}}
    other = {"request_id": "b", "json_input": {"other": URL, field: 7}}
    assert found(Wire(page(row, other))) == ("a",)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("item", "files"),
    [
        ({"status_code": 200, "json_output": OUTPUT}, 1),
        ({"status_code": 200, "json_output": json.dumps(OUTPUT)}, 1),
        ({"status_code": 200, "json_output": {"detail": "none"}}, 0),
        ({"status_code": 422, "json_output": OUTPUT}, 0),
        ({"status_code": None, "json_output": OUTPUT}, 0),
        ({"request_id": "another", "status_code": 200, "json_output": OUTPUT}, 0),
    ],
    ids=range(6),
)
def test_stored_output_is_a_result(item: dict[str, object], files: int) -> None:
    """The output that fal has stored of a request is found by the request's id."""
    fal = Wire(page({"request_id": "a", **item}))
    stored = history(fal).stored_result(APPLICATION, "a")
    assert len(stored.artifacts if stored else ()) == files
    query = {"endpoint_id": APPLICATION, "request_id": "a", "expand": "payloads", "limit": "1"}
    assert dict(fal.requests[0].url.params) == query


def test_listed_request_without_output_is_asked_again() -> None:
    fal = Wire(page({"request_id": "a", "status_code": 200, "json_output": None}))
    with pytest.raises(FalUnavailableError, match="not its result yet"):
        history(fal).stored_result(APPLICATION, "a")


def erased(fal: Wire, request_id: str = "r-1") -> PayloadsErased:
    return FalPayloads(FixedKey(" key\n"), f"{API}/", fal()).erase(request_id)


def files(*exceptions: str | None) -> httpx.Response:
    rows = [{"link": "https://v3.fal.media/files/a/x", "exception": each} for each in exceptions]
    return httpx.Response(
        200, json={"cdn_delete_results": [*rows, *["odd"] * ("boom" in exceptions)]}
    )


LEFT = "fal could not delete 2 of the training's output files"
SILENT = "fal did not say what became of the training's output files"


@pytest.mark.promise(
    "nothing leaks", "A file that fal could not delete is reported without its URL."
)
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (files(None, None), PayloadsErased(files=2)),
        (files(None, "boom"), PayloadsErased(files=1, left=(LEFT,))),
        (httpx.Response(404, json={"error": {}}), PayloadsErased()),
        (httpx.Response(403), PayloadsErased(left=(FORBIDS,))),
        # An answer that names no deleted files leaves data at fal.
        *(
            (answer, PayloadsErased(left=(SILENT,)))
            for answer in (
                httpx.Response(204),
                httpx.Response(200, json=[]),
                httpx.Response(200, content=b"\xff"),
            )
        ),
        *(
            (
                httpx.Response(status),
                PayloadsErased(
                    left=(
                        f"fal answered {status} to the deletion of what it stored of the training",
                    )
                ),
            )
            for status in (400, 405, 410, 422)
        ),
    ],
    ids=range(11),
)
def test_deletion_counts_and_reports(answer: httpx.Response, outcome: PayloadsErased) -> None:
    fal = Wire(answer)
    assert erased(fal) == outcome
    [request] = fal.requests
    assert (request.method, str(request.url)) == ("DELETE", f"{API}/models/requests/r-1/payloads")
    assert request.headers["Authorization"] == "Key key"


def test_request_id_is_one_path_segment() -> None:
    fal = Wire(httpx.Response(404))
    erased(fal, "../../keys?x=1#")
    segment = b"..%2F..%2Fkeys%3Fx%3D1%23"
    assert fal.requests[0].url.raw_path == b"/v1/models/requests/%s/payloads" % segment


def test_unauthorized_deletion_is_reported() -> None:
    """A key that may do anything but delete is reported as lacking the right."""
    fal = Wire(httpx.Response(401), page())
    assert erased(fal) == PayloadsErased(left=(FORBIDS,))
    assert [request.method for request in fal.requests] == ["DELETE", "GET"]


@pytest.mark.parametrize(
    "failure",
    [
        *(httpx.ConnectError("refused"), httpx.ReadTimeout("slow")),
        httpx.Response(307, headers={"Location": "data:,x"}),
        *(httpx.Response(status) for status in (302, 401, 408, 409, 425, 429, 500, 503)),
    ],
    ids=str,
)
def test_transient_deletion_error_is_retried(failure: Said) -> None:
    with pytest.raises(FalUnavailableError, match="401" if "401" in str(failure) else None):
        erased(Wire(failure))
