import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.store.handler import handler
from lora_drop.jobs.job import Job, Lease
from lora_drop.jobs.status import Status
from tests.support.builders import ARTIFACTS, make_dataset, make_job, make_weights
from tests.support.lambda_environment import FAL_KEY, FILES, Context, House, event


@pytest.fixture
def job(house: House) -> Job:
    """The first job of the batch, ready to be stored."""
    return house.holds(make_job(Status.STORING))


@pytest.fixture
def other(house: House) -> Job:
    """The second one."""
    said = json.loads(event("results_batch")["Records"][1]["body"])
    dataset = make_dataset("style/bob.zip")
    return house.holds(make_job(Status.STORING, job_id=said["job_id"], dataset=dataset))


def ids() -> list[str]:
    return [message["messageId"] for message in event("results_batch")["Records"]]


def failed(said: dict[str, Any]) -> list[str]:
    answer = handler(said, Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_every_job_of_a_batch_is_stored(house: House, job: Job, other: Job) -> None:
    assert failed(event("results_batch")) == []

    for each in (job, other):
        stored = house.job(each.job_id)
        assert stored.status is Status.SUCCEEDED
        assert [(file.name, file.size, file.sha256) for file in stored.files] == [
            (file.name, len(FILES[file.url]), hashlib.sha256(FILES[file.url]).hexdigest())
            for file in ARTIFACTS
        ]


def test_what_lies_in_the_bucket_is_what_fal_served(house: House, job: Job) -> None:
    failed(event("results_batch"))

    lying = house.files()
    assert {file.name: lying[file.name] for file in ARTIFACTS} == {
        file.name: FILES[file.url] for file in ARTIFACTS
    }
    assert set(lying) == {"lora.safetensors", "config.json", "job.json", "status.json"}
    assert json.loads(lying["job.json"])["job_id"] == job.job_id
    assert json.loads(lying["status.json"])["status"] == "SUCCEEDED"


@pytest.mark.usefixtures("job")
def test_a_message_about_an_unknown_job_comes_back_alone(house: House) -> None:
    assert failed(event("results_batch")) == ids()[1:]
    assert house.only_job().status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "bad", ["", "not JSON", "[]", '{"job_id": 7}', '{"schema_version": 2, "job_id": "a"}']
)
def test_a_bad_message_comes_back_alone(house: House, job: Job, bad: str) -> None:
    batch = event("results_batch")
    batch["Records"][1]["body"] = bad

    assert failed(batch) == ids()[1:]
    assert house.job(job.job_id).status is Status.SUCCEEDED


def test_a_message_that_comes_again_fetches_nothing(house: House, job: Job, other: Job) -> None:
    failed(event("results_batch"))
    house.internet.requests.clear()

    assert failed(event("results_batch")) == []
    assert house.internet.requests == []
    assert {house.job(each.job_id).status for each in (job, other)} == {Status.SUCCEEDED}


@pytest.mark.usefixtures("other")
@pytest.mark.parametrize(
    "answer", [httpx.ReadError("reset"), httpx.Response(503)], ids=["a broken line", "503"]
)
def test_files_that_do_not_arrive_are_fetched_again(
    house: House, job: Job, answer: httpx.Response | Exception
) -> None:
    house.internet.says["v3.fal.media"] = answer
    first = failed(event("results_batch"))
    waiting = house.job(job.job_id).status
    house.internet.says.clear()

    second = failed(event("results_batch"))

    assert (first, waiting) == (ids(), Status.STORING)
    assert (second, house.job(job.job_id).status) == ([], Status.SUCCEEDED)


@pytest.mark.usefixtures("other")
def test_files_that_neither_the_cdn_nor_fal_has_end_the_job(house: House, job: Job) -> None:
    house.internet.says["v3.fal.media"] = httpx.Response(404)
    house.internet.says["queue.fal.run"] = httpx.Response(404, json={"status": "NOT_FOUND"})

    assert failed(event("results_batch")) == []
    assert house.job(job.job_id).status is Status.STORING
    house.clock.now += timedelta(minutes=5)
    assert failed(event("results_batch")) == []
    assert house.job(job.job_id).status is Status.EXPIRED
    assert "no longer" in house.files()["ERROR.txt"].decode()


@pytest.mark.usefixtures("other")
def test_a_result_that_is_none_fails_the_job_and_is_kept(house: House, job: Job) -> None:
    page = b"<html>Service unavailable</html>"
    house.internet.says["v3.fal.media"] = httpx.Response(200, content=page)
    house.internet.status = {"status": "COMPLETED"}

    assert failed(event("results_batch")) == []
    assert house.job(job.job_id).status is Status.FAILED
    assert "weights_other_file" in house.files()["ERROR.txt"].decode()
    assert house.files()["lora.safetensors.invalid"] == page
    assert "lora.safetensors" not in house.files()


def test_a_large_result_goes_by_parts_and_leaves_none_behind(
    house: House, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_weights(20 * 1024**2)
    monkeypatch.setitem(FILES, job.artifacts[0].url, large)

    failed(event("results_batch"))

    stored = house.job(job.job_id)
    assert (stored.status, stored.uploads) == (Status.SUCCEEDED, ())
    assert stored.files[0].sha256 == hashlib.sha256(large).hexdigest()
    assert house.files()["lora.safetensors"] == large
    assert "Uploads" not in house.aws.s3.list_multipart_uploads(Bucket="models")


def test_a_job_that_another_copies_is_left_to_it_and_its_message_is_done_with(
    house: House, job: Job, other: Job
) -> None:
    lease = Lease(owner="another", fence=1, until=house.clock.now + timedelta(seconds=240))
    held = job.model_copy(update={"lease": lease, "version": job.version + 1})
    house.jobs.replace(job, held)

    assert failed(event("results_batch")) == []
    assert house.job(job.job_id) == held
    assert house.job(other.job_id).status is Status.SUCCEEDED


def test_a_result_that_the_webhook_did_not_bring_is_read_with_our_own_key(house: House) -> None:
    house.holds(make_job(Status.STORING, artifacts=()))
    house.internet.status = {"status": "COMPLETED"}

    assert failed(event("results_batch")) == ids()[1:]
    assert house.only_job().status is Status.SUCCEEDED
    assert set(house.files()) >= {"lora.safetensors", "config.json"}


@pytest.mark.usefixtures("job")
def test_what_was_done_is_logged_and_counted(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    failed(event("results_batch"))

    said = house.said()
    assert [line["status"] for line in said if line.get("message") == "result handled"] == [
        "SUCCEEDED"
    ]
    [back] = [line for line in said if line.get("message") == "message failed"]
    assert (back["message_id"], back["exception_name"]) == (ids()[1], "JobNotFoundError")
    assert any("ResultStored" in line for line in said)
    assert [line["ResultFailed"] for line in said if "ResultFailed" in line] == [[1.0]]
    assert FAL_KEY not in json.dumps(said) + caplog.text
