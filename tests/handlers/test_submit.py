"""The submit function: a notice from the inbox becomes a job, and one request to fal."""

import json
from typing import Any

import httpx
import pytest

from functions.submit.handler import bootstrap, handler
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID, make_dataset, s3_event
from tests.support.lambda_environment import FAL_KEY, Answer, Context, LambdaEnvironment, event
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


def submitted(environment: LambdaEnvironment, **archive: Any) -> list[str]:
    """Upload a dataset and hand its notice over; return the messages that come back."""
    return failed_messages(handled(queue_event(notice(environment.drop(**archive)))))


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


@pytest.mark.promise("never pay twice")
def test_same_event_again_pays_nothing(environment: LambdaEnvironment) -> None:
    """However often S3 sends the event of a dataset, one training is paid."""
    made = notice(environment.drop())
    for _ in range(3):
        assert handled(queue_event(made, made)) == {"batchItemFailures": []}
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


def test_every_bad_message_comes_back(environment: LambdaEnvironment) -> None:
    assert failed_messages(handled(queue_event("a", "b"))) == ["message-1", "message-2"]
    assert environment.internet.requests == []


@pytest.mark.promise("never get stuck")
def test_refused_connection_leaves_job_waiting(environment: LambdaEnvironment) -> None:
    """A dataset whose request never left waits in the queue, and the next event sends it."""
    made = notice(environment.drop())
    environment.internet.says = {
        host: httpx.ConnectError("refused") for host in ("queue.fal.run", "queue.falrun.com")
    }

    first = handled(queue_event(made))
    waiting = environment.only_job()
    environment.internet.says.clear()
    second = handled(queue_event(made))

    assert failed_messages(first) == failed_messages(second) == []
    assert (waiting.status, waiting.problems[0].code) == (Status.READY, "fal_unreachable")
    assert environment.only_job().status is Status.SUBMITTED


def test_job_without_slot_waits(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next event sends the job that waits for a slot."""
    monkeypatch.setenv("MAX_IN_FLIGHT", "1")
    first, second = (notice(environment.drop(images=images)) for images in (11, 12))

    assert failed_messages(handled(queue_event(first, second))) == []
    running, waiting = sorted(environment.all_jobs(), key=lambda job: job.status, reverse=True)
    environment.jobs.replace(running, running.move(Status.FAILED, now=environment.clock.now))
    handled(queue_event(first))

    assert (running.status, waiting.status) == (Status.SUBMITTED, Status.READY)
    assert environment.job(waiting.job_id).status is Status.SUBMITTED
    assert len(environment.internet.posts) == 2


@pytest.mark.parametrize(
    ("name", "code"),
    [("MAX_JOB_USD", "job_over_limit"), ("MONTHLY_BUDGET_USD", "budget_exhausted")],
)
def test_job_without_money_is_held(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    monkeypatch.setenv(name, "3.59")
    assert submitted(environment) == []
    job = environment.only_job()
    assert (job.status, job.problems[0].code) == (Status.HELD, code)
    assert "$3.59" in environment.files()["ERROR.txt"].decode()
    assert environment.internet.posts == []


def test_fal_price_is_reserved(environment: LambdaEnvironment) -> None:
    environment.internet.price = 0.003
    submitted(environment)
    assert environment.only_job().estimated_cost_usd == 4.5
    assert environment.jobs.account("2026-11").reserved_usd == 4.5


@pytest.mark.promise("never pay twice")
def test_copied_photos_wait_for_first(environment: LambdaEnvironment) -> None:
    """The same photos under another name wait for the training of the first ones."""
    made = notice(environment.drop())
    handled(queue_event(made))
    copied = environment.aws.s3.copy_object(
        Bucket="datasets",
        Key="portrait/copy.zip",
        CopySource={"Bucket": "datasets", "Key": "portrait/ada.zip"},
    )
    stored = made["Records"][0]["s3"]["object"]
    stored |= {"key": "portrait/copy.zip", "versionId": copied["VersionId"]}

    assert failed_messages(handled(queue_event(made))) == []

    statuses = {job.dataset.key: job.status for job in environment.all_jobs()}
    assert statuses == {"portrait/ada.zip": Status.SUBMITTED, "portrait/copy.zip": Status.RECEIVED}
    assert len(environment.internet.posts) == 1


@pytest.mark.promise("never pay twice")
def test_unanswered_request_is_never_resent(environment: LambdaEnvironment) -> None:
    """A request that fal did not answer may have been paid, so it is not sent once more."""
    made = notice(environment.drop())
    environment.internet.says["queue.fal.run"] = httpx.ReadTimeout("slow")

    first = handled(queue_event(made))
    second = handled(queue_event(made))

    assert failed_messages(first) == failed_messages(second) == []
    assert environment.only_job().status is Status.SUBMIT_UNKNOWN
    assert len(environment.internet.posts) == 1
    assert "not known" in environment.files()["ERROR.txt"].decode()
    assert any("SubmitUnknown" in line for line in environment.output_lines())


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_invalid_dataset_costs_nothing(environment: LambdaEnvironment) -> None:
    """A dataset that cannot train is rejected before fal hears of it, with what to do."""
    assert submitted(environment, images=3) == []
    assert environment.only_job().status is Status.REJECTED
    assert environment.internet.posts == []
    assert "20 to 50 are best" in environment.files()["ERROR.txt"].decode()
    assert any("DatasetRejected" in line for line in environment.output_lines())


def test_without_fal_key_job_waits(environment: LambdaEnvironment) -> None:
    environment.aws.empty(environment.fal_key)
    assert submitted(environment) == []
    assert environment.only_job().status is Status.READY
    assert environment.internet.posts == []


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


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("outcome", ["accepted", "doubtful", "refused", "not sent"])
def test_submit_logs_no_secret(
    environment: LambdaEnvironment, caplog: pytest.LogCaptureFixture, outcome: str
) -> None:
    """The key, the webhook's token and the signature of the dataset's address are never logged."""
    caplog.set_level("INFO")
    answers: dict[str, Answer] = {
        "doubtful": httpx.ReadTimeout("slow"),
        "refused": httpx.Response(403, json={"detail": "User is locked."}),
        "not sent": httpx.ProxyError("407"),
    }
    if outcome in answers:
        environment.internet.says["queue.fal.run"] = answers[outcome]

    submitted(environment)

    [post] = environment.internet.posts
    token = httpx.URL(post.url.params["fal_webhook"]).path.rsplit("/", 1)[-1]
    signature = httpx.URL(json.loads(post.content)["images_data_url"]).params["X-Amz-Signature"]
    logged = json.dumps(environment.output_lines()) + caplog.text
    assert environment.only_job().job_id in logged
    for secret in (FAL_KEY, "fal-key-secret", token, signature):
        assert secret not in logged
