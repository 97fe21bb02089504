import json
from typing import Any

import httpx
import pytest

from functions.submit.handler import handler
from lora_drop.jobs.status import Status
from tests.support.builders import REQUEST_ID
from tests.support.lambda_environment import FAL_KEY, Answer, Context, House, event

TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "datasets"}


def bare(version: str | None) -> dict[str, Any]:
    """S3's own event, of the version that is there."""
    notice = event("s3_put")
    stored = notice["Records"][0]["s3"]["object"]
    stored |= {"versionId": version}
    if version is None:
        del stored["versionId"]
    return notice


def queued(*bodies: object) -> dict[str, Any]:
    """The inbox's messages, numbered from 1."""
    [message] = event("s3_put_in_sqs")["Records"]
    return {
        "Records": [
            {
                **message,
                "messageId": f"message-{number}",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for number, body in enumerate(bodies, start=1)
        ]
    }


def handled(said: dict[str, Any]) -> Any:
    return handler(said, Context())


def failed(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_dataset_in_the_inbox_is_submitted(house: House) -> None:
    version = house.drop()

    answer = handled(queued(bare(version)))

    job = house.only_job()
    assert answer == {"batchItemFailures": []}
    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    assert job.dataset.version_id == version
    assert json.loads(house.files()["status.json"])["status"] == "SUBMITTED"


def test_what_is_paid_names_the_version_and_the_way_back(house: House) -> None:
    version = house.drop(training={"steps": 1200})

    handled(queued(bare(version)))

    [post] = house.internet.posts
    arguments, job = json.loads(post.content), house.only_job()
    dataset = httpx.URL(arguments.pop("images_data_url"))
    webhook = httpx.URL(post.url.params["fal_webhook"])
    assert (dataset.path, dataset.params["versionId"]) == ("/portrait/ada.zip", version)
    assert arguments["steps"] == 1200
    assert webhook.path.startswith(f"/live/webhooks/fal/{job.job_id}/")


@pytest.mark.parametrize("versioned", [True, False], ids=["with a version", "without"])
def test_a_bare_event_of_s3s_is_handled_as_well(house: House, versioned: bool) -> None:  # noqa: FBT001  # a table's column
    version = house.drop()

    answer = handled(bare(version if versioned else None))

    assert answer == {"batchItemFailures": []}
    assert house.only_job().dataset.version_id == version
    assert len(house.internet.posts) == 1


def test_the_same_event_again_pays_nothing(house: House) -> None:
    notice = bare(house.drop())

    for _ in range(3):
        assert handled(queued(notice, notice)) == {"batchItemFailures": []}

    assert len(house.internet.posts) == 1


@pytest.mark.parametrize("said", [queued(TEST_EVENT), TEST_EVENT], ids=["in the inbox", "bare"])
def test_s3s_test_of_the_subscription_is_nothing(house: House, said: dict[str, Any]) -> None:
    assert handled(said) == {"batchItemFailures": []}
    assert house.jobs.page(status=None, limit=1, cursor=None).jobs == ()


@pytest.mark.parametrize(
    "bad",
    ["not JSON", "", "[]", "null", {"some": "thing"}, {"Records": [{"s3": {}}]}],
    ids=range(6),
)
def test_a_bad_message_comes_back_alone(house: House, bad: object) -> None:
    notice = bare(house.drop())

    answer = handled(queued(TEST_EVENT, bad, notice))

    assert failed(answer) == ["message-2"]
    assert house.only_job().status is Status.SUBMITTED


def test_when_every_message_is_bad_every_one_comes_back(house: House) -> None:
    assert failed(handled(queued("a", "b"))) == ["message-1", "message-2"]
    assert house.internet.requests == []


def test_a_post_that_never_left_leaves_the_dataset_in_the_line(house: House) -> None:
    notice = bare(house.drop())
    house.internet.says = {
        host: httpx.ConnectError("refused") for host in ("queue.fal.run", "queue.falrun.com")
    }

    first = handled(queued(notice))
    waiting = house.only_job()
    house.internet.says.clear()
    second = handled(queued(notice))

    assert failed(first) == failed(second) == []
    assert (waiting.status, waiting.problems[0].code) == (Status.READY, "fal_unreachable")
    assert house.only_job().status is Status.SUBMITTED


def test_a_dataset_that_has_no_slot_waits_in_the_line_and_the_next_event_sends_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_IN_FLIGHT", "1")
    first, second = (bare(house.drop(images=images)) for images in (11, 12))

    assert failed(handled(queued(first, second))) == []
    running, waiting = sorted(house.all_jobs(), key=lambda job: job.status, reverse=True)
    house.jobs.replace(running, running.move(Status.FAILED, now=house.clock.now))
    handled(queued(first))

    assert (running.status, waiting.status) == (Status.SUBMITTED, Status.READY)
    assert house.job(waiting.job_id).status is Status.SUBMITTED
    assert len(house.internet.posts) == 2


@pytest.mark.parametrize(
    ("name", "code"),
    [("MAX_JOB_USD", "job_over_limit"), ("MONTHLY_BUDGET_USD", "budget_exhausted")],
)
def test_a_dataset_that_there_is_no_money_for_is_held_and_told(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str, code: str
) -> None:
    monkeypatch.setenv(name, "3.59")

    answer = handled(queued(bare(house.drop())))

    job = house.only_job()
    assert failed(answer) == []
    assert (job.status, job.problems[0].code) == (Status.HELD, code)
    assert "$3.59" in house.files()["ERROR.txt"].decode()
    assert house.internet.posts == []


def test_fals_own_price_is_what_is_set_aside(house: House) -> None:
    house.internet.price = 0.003

    handled(queued(bare(house.drop())))

    assert house.only_job().estimated_cost_usd == 4.5
    assert house.jobs.account("2026-11").reserved_usd == 4.5


def test_the_same_photos_under_another_name_wait_for_the_first(house: House) -> None:
    notice = bare(house.drop())
    handled(queued(notice))
    copied = house.aws.s3.copy_object(
        Bucket="datasets",
        Key="portrait/copy.zip",
        CopySource={"Bucket": "datasets", "Key": "portrait/ada.zip"},
    )
    stored = notice["Records"][0]["s3"]["object"]
    stored |= {"key": "portrait/copy.zip", "versionId": copied["VersionId"]}

    assert failed(handled(queued(notice))) == []

    statuses = {job.dataset.key: job.status for job in house.all_jobs()}
    assert statuses == {
        "portrait/ada.zip": Status.SUBMITTED,
        "portrait/copy.zip": Status.RECEIVED,
    }
    assert len(house.internet.posts) == 1


def test_a_doubtful_post_never_comes_back(house: House) -> None:
    notice = bare(house.drop())
    house.internet.says["queue.fal.run"] = httpx.ReadTimeout("slow")

    first = handled(queued(notice))
    second = handled(queued(notice))

    assert failed(first) == failed(second) == []
    assert house.only_job().status is Status.SUBMIT_UNKNOWN
    assert len(house.internet.posts) == 1
    assert "not known" in house.files()["ERROR.txt"].decode()
    assert any("SubmitUnknown" in line for line in house.said())


def test_a_dataset_that_cannot_train_is_told_and_costs_nothing(house: House) -> None:
    notice = bare(house.drop(images=3))

    answer = handled(queued(notice))

    assert failed(answer) == []
    assert house.only_job().status is Status.REJECTED
    assert house.internet.posts == []
    assert "20 to 50 are best" in house.files()["ERROR.txt"].decode()
    assert any("DatasetRejected" in line for line in house.said())


def test_without_a_key_the_dataset_waits_in_the_line(house: House) -> None:
    house.aws.empty(house.fal_key)
    notice = bare(house.drop())

    answer = handled(queued(notice))

    assert failed(answer) == []
    assert house.only_job().status is Status.READY
    assert house.internet.posts == []


def test_without_the_secret_for_the_way_back_the_message_comes_back(house: House) -> None:
    house.aws.empty(house.webhook_secret)

    answer = handled(queued(bare(house.drop())))

    assert failed(answer) == ["message-1"]
    assert house.only_job().status is Status.READY
    assert house.internet.posts == []


def test_why_a_message_comes_back_is_logged(house: House) -> None:
    house.aws.empty(house.webhook_secret)

    handled(queued("not JSON", bare(house.drop())))

    said = house.said()
    lines = [line for line in said if line.get("message") == "message failed"]
    assert [line["DatasetFailed"] for line in said if "DatasetFailed" in line] == [[1.0, 1.0]]
    assert [(line["message_id"], line["exception_name"]) for line in lines] == [
        ("message-1", "JSONDecodeError"),
        ("message-2", "FalUnavailableError"),
    ]


def test_what_was_done_is_logged_with_its_job(house: House) -> None:
    handled(queued(bare(house.drop())))

    said = house.said()
    job = house.only_job()
    [line] = [line for line in said if line.get("message") == "dataset received"]
    assert (line["job_id"], line["status"]) == (job.job_id, "SUBMITTED")
    assert any("TrainingSubmitted" in line for line in said)


@pytest.mark.parametrize("outcome", ["accepted", "doubtful", "refused", "not sent"])
def test_no_secret_is_ever_logged(
    house: House, caplog: pytest.LogCaptureFixture, outcome: str
) -> None:
    caplog.set_level("INFO")
    notice = bare(house.drop())
    answers: dict[str, Answer] = {
        "doubtful": httpx.ReadTimeout("slow"),
        "refused": httpx.Response(403, json={"detail": "User is locked."}),
        "not sent": httpx.ProxyError("407"),
    }
    if outcome in answers:
        house.internet.says["queue.fal.run"] = answers[outcome]

    handled(queued(notice))

    [post] = house.internet.posts
    token = httpx.URL(post.url.params["fal_webhook"]).path.rsplit("/", 1)[-1]
    signature = httpx.URL(json.loads(post.content)["images_data_url"]).params["X-Amz-Signature"]
    logged = json.dumps(house.said()) + caplog.text
    assert house.only_job().job_id in logged
    for secret in (FAL_KEY, "fal-key-secret", token, signature):
        assert secret not in logged
