"""The functions fed by queues: a notice becomes a job and a request to fal, a result is copied and recorded."""

import hashlib
import json
from typing import Any

import httpx
import pytest

from functions.store.handler import handler as store
from functions.submit.handler import bootstrap, handler
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.job import Job
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.services.proof_sheets import ProofSheets
from tests.support.builders import (
    ARTIFACTS,
    NOW,
    REQUEST_ID,
    make_dataset,
    make_job,
    make_weights,
    s3_event,
)
from tests.support.lambda_environment import FAL_KEY, FILES, Context, LambdaEnvironment, event
from tests.support.lambda_events import Request, failed_messages, queue_event

TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "datasets"}
OLD_KEY = "old-id:old-secret"


def notice(version: str | None) -> Request:
    """S3's own event, of the version that is there."""
    made = event("s3_put")
    stored = made["Records"][0]["s3"]["object"]
    stored |= {"versionId": version}
    if version is None:
        del stored["versionId"]
    return made


def handled(request: Request) -> Any:
    return handler(request, Context())


def test_dataset_in_inbox_is_submitted(environment: LambdaEnvironment) -> None:
    version = environment.drop(training={"steps": 1200})

    answer = handled(queue_event(notice(version)))

    job = environment.only_job()
    assert answer == {"batchItemFailures": []}
    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    assert job.dataset.version_id == version
    assert json.loads(environment.files()["status.json"])["status"] == "SUBMITTED"
    [post] = environment.internet.posts
    arguments = json.loads(post.content)
    dataset = httpx.URL(arguments.pop("images_data_url"))
    webhook = httpx.URL(post.url.params["fal_webhook"])
    assert (dataset.path, dataset.params["versionId"]) == ("/portrait/ada.zip", version)
    assert arguments["steps"] == 1200
    assert webhook.path.startswith(f"/live/webhooks/fal/{job.job_id}/")
    output = environment.output_lines()
    [line] = [line for line in output if line.get("message") == "dataset received"]
    assert (line["job_id"], line["status"]) == (job.job_id, "SUBMITTED")
    assert any("TrainingSubmitted" in line for line in output)


@pytest.mark.parametrize("versioned", ["with a version", ""])
def test_bare_s3_event_is_handled(environment: LambdaEnvironment, versioned: str) -> None:
    version = environment.drop()
    answer = handled(notice(version if versioned else None))
    assert answer == {"batchItemFailures": []}
    assert environment.only_job().dataset.version_id == version
    assert len(environment.internet.posts) == 1


@pytest.mark.parametrize("request_", [queue_event(TEST_EVENT), TEST_EVENT], ids=["queued", "bare"])
def test_s3_test_event_is_ignored(environment: LambdaEnvironment, request_: Request) -> None:
    assert handled(request_) == {"batchItemFailures": []}
    assert environment.all_jobs() == ()


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "bad",
    ["not JSON", "", "[]", "null", {"some": "thing"}, {"Records": [{"s3": {}}]}],
    ids=range(6),
)
def test_bad_message_comes_back_alone(environment: LambdaEnvironment, bad: object) -> None:
    """A message that cannot be read goes back to its queue and stops no other dataset."""
    answer = handled(queue_event(TEST_EVENT, bad, notice(environment.drop())))
    assert failed_messages(answer) == ["message-2"]
    assert environment.only_job().status is Status.SUBMITTED


def test_without_webhook_secret_message_returns(environment: LambdaEnvironment) -> None:
    """Why a message comes back is logged and counted."""
    environment.aws.empty(environment.webhook_secret)

    answer = handled(queue_event("not JSON", notice(environment.drop())))

    assert failed_messages(answer) == ["message-1", "message-2"]
    assert environment.only_job().status is Status.READY
    assert environment.internet.posts == []
    output = environment.output_lines()
    lines = [line for line in output if line.get("message") == "message failed"]
    assert [line["DatasetFailed"] for line in output if "DatasetFailed" in line] == [[1.0, 1.0]]
    assert [(line["message_id"], line["exception_name"]) for line in lines] == [
        ("message-1", "ValidationError"),
        ("message-2", "FalUnavailableError"),
    ]


@pytest.mark.promise(
    "it can be operated",
    "After the fal key is rotated, a running function asks fal with the new one.",
)
@pytest.mark.promise("it can be operated")
def test_rotated_key_submits_once(environment: LambdaEnvironment) -> None:
    """After the fal key is rotated, a running function takes the new one and pays once."""
    version = environment.drop()
    environment.rotate_fal_key(OLD_KEY)
    assert bootstrap()._key() == OLD_KEY
    environment.rotate_fal_key(FAL_KEY)
    environment.internet.revoked = OLD_KEY
    environment.internet.says["api.fal.ai"] = OSError("prices are not asked for")
    made = s3_event(make_dataset(version_id=version))

    handled(made)
    first = environment.only_job()
    handled(made)

    assert (first.status, environment.only_job().status) == (Status.READY, Status.SUBMITTED)
    shown = [request.headers["Authorization"] for request in environment.internet.posts]
    assert shown == [f"Key {OLD_KEY}", f"Key {FAL_KEY}"]
    assert "secret" not in json.dumps(environment.output_lines())


OUTCOMES: dict[str, tuple[dict[str, str], int, Status, str, str]] = {
    "invalid": ({}, 3, Status.REJECTED, "dataset_insufficient_images", "DatasetRejected"),
    "too dear": ({"MAX_JOB_USD": "4.49"}, 12, Status.HELD, "job_over_limit", ""),
    "no money": ({"MONTHLY_BUDGET_USD": "4.49"}, 12, Status.HELD, "budget_exhausted", ""),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_settings_decide_what_is_sent(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A dataset that is invalid, or for which there is no money at fal's price, is not sent."""
    variables, images, status, code, metric = OUTCOMES[case]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    environment.internet.price = 0.003
    handled(queue_event(notice(environment.drop(images=images))))
    job = environment.only_job()
    assert (job.status, [problem.code for problem in job.problems]) == (status, [code])
    assert environment.internet.posts == []
    assert any(metric in line for line in environment.output_lines()) or not metric


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
    return failed_messages(store(request, Context()))


@pytest.mark.promise("never lose a result")
def test_every_result_is_stored_whole(environment: LambdaEnvironment, job: Job, other: Job) -> None:
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
        "latest.json",
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
def test_bad_request_comes_back_alone(environment: LambdaEnvironment, job: Job, bad: str) -> None:
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


@pytest.mark.parametrize("proof", [None, ProofSheet()], ids=["no sheet", "pictures not opened"])
def test_message_of_a_sheet_is_handled(
    environment: LambdaEnvironment, proof: ProofSheet | None
) -> None:
    """A message about the proof sheet of a training finishes what can be finished, and is done."""
    job = environment.add_job(make_job(Status.SUCCEEDED, proof=proof))
    assert handled(event("proof_batch")) == {"batchItemFailures": []}
    assert environment.job(job.job_id) == job
    [line] = [
        line for line in environment.output_lines() if line.get("message") == "proof sheet handled"
    ]
    assert (line["job_id"], line["done"]) == (job.job_id, False)


@pytest.mark.parametrize(("tries", "again"), [("1", False), ("2", True)])
@pytest.mark.usefixtures("environment")
def test_message_that_comes_again_writes_the_sheet_again(
    monkeypatch: pytest.MonkeyPatch,
    tries: str,
    again: bool,  # noqa: FBT001
) -> None:
    """Who had the message before may have died after it wrote older files over newer ones."""
    asked: list[bool] = []

    def finish(_: ProofSheets, job_id: str, *, again: bool) -> Job:
        asked.append(again)
        return make_job(Status.SUCCEEDED, job_id=job_id)

    monkeypatch.setattr(ProofSheets, "finish", finish)
    batch = event("proof_batch")
    batch["Records"][0]["attributes"]["ApproximateReceiveCount"] = tries
    assert handled(batch) == {"batchItemFailures": []}
    assert asked == [again]


@pytest.mark.parametrize("proof_of", ["nobody-0000000000", "", "../..", 7])
def test_message_of_an_unknown_sheet_returns(
    environment: LambdaEnvironment, proof_of: object
) -> None:
    """A message about a job that is not there, or that can be none, comes back and becomes a dead letter."""
    good = notice(environment.drop())
    assert failed_messages(handled(queue_event({"proof_of": proof_of}, good))) == ["message-1"]
    assert environment.only_job().status is Status.SUBMITTED


def test_sheet_of_a_forgotten_job_is_dropped(environment: LambdaEnvironment) -> None:
    """A message about a job that was forgotten in the meantime is done, and its log line names no job."""
    job = environment.add_job(make_job(Status.SUCCEEDED, proof=ProofSheet()))
    environment.jobs.begin(job, Erasure.of(job, now=NOW, dropped_by=NOW))
    assert handled(event("proof_batch")) == {"batchItemFailures": []}
    [line] = [line for line in environment.output_lines() if "forgotten" in str(line)]
    assert "job_id" not in line
