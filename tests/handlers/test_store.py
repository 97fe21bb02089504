"""The store function: the results of a batch are copied, checked and recorded, each job by itself."""

import hashlib
import json

import pytest

from functions.store.handler import handler
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ARTIFACTS, make_dataset, make_job, make_weights
from tests.support.lambda_environment import FAL_KEY, FILES, Context, LambdaEnvironment, event
from tests.support.lambda_events import Request, failed_messages


@pytest.fixture
def job(environment: LambdaEnvironment) -> Job:
    """The first job of the batch, ready to be stored."""
    return environment.add_job(make_job(Status.STORING))


@pytest.fixture
def other(environment: LambdaEnvironment) -> Job:
    """The second one."""
    message = json.loads(event("results_batch")["Records"][1]["body"])
    dataset = make_dataset("style/bob.zip")
    return environment.add_job(make_job(Status.STORING, job_id=message["job_id"], dataset=dataset))


def ids() -> list[str]:
    return [message["messageId"] for message in event("results_batch")["Records"]]


def failed(request: Request) -> list[str]:
    return failed_messages(handler(request, Context()))


@pytest.mark.promise("never lose a result")
def test_every_result_is_stored_unchanged(
    environment: LambdaEnvironment, job: Job, other: Job
) -> None:
    """The files in the models bucket are byte for byte what fal served, for every job of a batch."""
    assert failed(event("results_batch")) == []

    for each in (job, other):
        stored = environment.job(each.job_id)
        assert stored.status is Status.SUCCEEDED
        assert [(file.name, file.size, file.sha256) for file in stored.files] == [
            (file.name, len(FILES[file.url]), hashlib.sha256(FILES[file.url]).hexdigest())
            for file in ARTIFACTS
        ]
    files = environment.files()
    assert {file.name: files[file.name] for file in ARTIFACTS} == {
        file.name: FILES[file.url] for file in ARTIFACTS
    }
    assert set(files) == {
        "lora.safetensors",
        "config.json",
        "job.json",
        "status.json",
        "report.html",
    }
    assert json.loads(files["job.json"])["job_id"] in (job.job_id, other.job_id)
    assert json.loads(files["status.json"])["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "not JSON",
        "[]",
        '{"job_id": "no-job-0123456789"}',
        '{"job_id": 7}',
        '{"schema_version": 2, "job_id": "a"}',
    ],
)
def test_bad_message_comes_back_alone(environment: LambdaEnvironment, job: Job, bad: str) -> None:
    batch = event("results_batch")
    batch["Records"][1]["body"] = bad
    assert failed(batch) == ids()[1:]
    assert environment.job(job.job_id).status is Status.SUCCEEDED


def test_large_result_leaves_no_parts(
    environment: LambdaEnvironment, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_weights(20 * 1024**2)
    monkeypatch.setitem(FILES, job.artifacts[0].url, large)

    failed(event("results_batch"))

    stored = environment.job(job.job_id)
    assert (stored.status, stored.uploads) == (Status.SUCCEEDED, ())
    assert stored.files[0].sha256 == hashlib.sha256(large).hexdigest()
    assert environment.files()["lora.safetensors"] == large
    assert "Uploads" not in environment.aws.s3.list_multipart_uploads(Bucket="models")


@pytest.mark.usefixtures("job")
def test_store_is_logged_and_counted(
    environment: LambdaEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    failed(event("results_batch"))

    output = environment.output_lines()
    assert [line["status"] for line in output if line.get("message") == "result handled"] == [
        "SUCCEEDED"
    ]
    [back] = [line for line in output if line.get("message") == "message failed"]
    assert (back["message_id"], back["exception_name"]) == (ids()[1], "JobNotFoundError")
    assert any("ResultStored" in line for line in output)
    assert [line["ResultFailed"] for line in output if "ResultFailed" in line] == [[1.0]]
    assert FAL_KEY not in json.dumps(output) + caplog.text
