"""S3 does not answer, and nobody reads the key of a dataset in what the functions say of it."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.forget.handler import handler as forget
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.security.canary import canary_dataset as nest
from tests.security.canary.canary_values import Place
from tests.security.canary.plugin import WATCH
from tests.support.builders import make_dataset, make_job, s3_event
from tests.support.lambda_environment import Context, House, event
from tests.support.silent_s3 import silence_s3


@pytest.fixture
def nobody_sings() -> Iterator[None]:
    """Something went wrong loudly, and none of it holds a canary."""
    hits, seen = len(WATCH.hits), WATCH.seen[Place.LOG] + WATCH.seen[Place.EXCEPTION]
    yield
    assert [str(hit) for hit in WATCH.hits[hits:]] == []
    assert WATCH.seen[Place.LOG] + WATCH.seen[Place.EXCEPTION] > seen


def in_queue(body: str) -> dict[str, Any]:
    [record] = event("s3_put_in_sqs")["Records"]
    return {"Records": [record | {"body": body}]}


def tried(house: House, handler: Callable[[Any, Any], object], said: dict[str, Any]) -> None:
    """Once, whatever comes of it; what it prints is looked at as well."""
    try:
        handler(said, Context())
    except Exception as trouble:  # noqa: BLE001  # what leaves a handler is what Lambda writes down
        assert nest.KEY not in str(trouble)  # noqa: PT017  # it need not be raised
    WATCH.lines(json.dumps(house.said()))


@pytest.mark.usefixtures("nobody_sings")
def test_a_dataset_that_cannot_be_read_is_not_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = house.aws.s3.put_object(Bucket="datasets", Key=nest.KEY, Body=nest.dataset())
    notice = s3_event(make_dataset(nest.KEY, version_id=put["VersionId"]))
    silence_s3(monkeypatch)

    tried(house, submit, in_queue(json.dumps(notice)))


@pytest.mark.usefixtures("nobody_sings")
def test_a_result_that_cannot_be_written_is_not_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.holds(make_job(Status.STORING, dataset=make_dataset(nest.KEY)))
    silence_s3(monkeypatch)

    tried(house, store, in_queue(StoreRequest(job_id=job.job_id).model_dump_json()))


@pytest.mark.usefixtures("nobody_sings")
def test_a_delivery_that_cannot_be_kept_does_not_name_its_dataset(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.holds(make_job(Status.SUBMITTED, dataset=make_dataset(nest.KEY)))
    silence_s3(monkeypatch)

    tried(house, webhook, event("webhook_ok"))


@pytest.mark.usefixtures("nobody_sings")
@pytest.mark.parametrize("part", ["versions", "uploads", "delete"])
def test_what_cannot_be_erased_is_not_named(
    house: House, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    put = house.aws.s3.put_object(Bucket="datasets", Key=nest.KEY, Body=b"photos")
    dataset = make_dataset(nest.KEY, version_id=put["VersionId"])
    job = house.holds(make_job(Status.CANCELLED, dataset=dataset))
    silence_s3(monkeypatch, part=part)
    order = event("job_forget") | {
        "path": f"/jobs/{job.job_id}/forget",
        "pathParameters": {"job_id": job.job_id},
    }

    tried(house, forget, order)
    tried(house, forget, event("schedule"))
