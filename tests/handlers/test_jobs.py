"""The jobs function: jobs are listed and shown, and decisions about them are recorded under a name."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.jobs.handler import handler
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, REQUEST_ID, make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import job_event, with_key


@pytest.fixture
def jobs(environment: LambdaEnvironment) -> list[Job]:
    """Five jobs, newest first; every other one is being trained."""
    return [
        environment.add_job(
            make_job(
                Status.TRAINING if number % 2 else Status.SUCCEEDED,
                job_id=f"job-{number}",
                created_at=NOW + timedelta(seconds=number),
            )
        )
        for number in range(5)
    ][::-1]


def asked(request: dict[str, Any]) -> tuple[int, Any]:
    answer = handler(request, Context())
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    return answer["statusCode"], json.loads(answer["body"])


def listing(**query: str) -> tuple[int, Any]:
    several = {name: [value] for name, value in query.items()}
    return asked(
        event("jobs_list")
        | {"queryStringParameters": query or None, "multiValueQueryStringParameters": several}
    )


def test_newest_jobs_are_listed(jobs: list[Job]) -> None:
    """With the event's query and without any."""
    status, body = listing()
    assert asked(event("jobs_list")) == (200, {"jobs": list(map(public, jobs)), "next": None})
    assert (status, [job["job_id"] for job in body["jobs"]]) == (200, [job.job_id for job in jobs])


def test_jobs_of_one_state_are_listed(jobs: list[Job]) -> None:
    training = [job.job_id for job in jobs if job.status is Status.TRAINING]
    _, first = listing(status="TRAINING", limit="1")
    _, second = listing(status="TRAINING", limit="1", cursor=first["next"])
    assert [job["job_id"] for page in (first, second) for job in page["jobs"]] == training


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"status": "training"}, "status"),
        ({"status": "DONE"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "of another list"}, "cursor"),
        ({"cursor": "eyJwayI6IDEsICJzayI6IDJ9"}, "cursor"),
        ({"statsu": "FAILED"}, "statsu"),
    ],
)
def test_invalid_query_names_its_part(query: dict[str, str], named: str) -> None:
    status, body = listing(**query)
    assert (status, body["error"]["code"]) == (400, "query_invalid")
    assert named in body["error"]["message"]
    assert "\n" not in body["error"]["message"]
    assert "pydantic" not in body["error"]["message"]


@pytest.mark.promise("nothing leaks", "A job is shown as its public form.")
@pytest.mark.promise("nothing leaks")
def test_job_is_shown_as_public(environment: LambdaEnvironment) -> None:
    """The API shows the public fields of a job, and not the addresses of its files at fal."""
    job = environment.add_job(make_job(Status.STORING))
    status, body = asked(event("job_item"))
    assert (status, body) == (200, {**public(job), "waiting": None})
    assert "artifacts" not in body


@pytest.mark.promise("it can be operated")
def test_waiting_job_says_what_it_waits_for(environment: LambdaEnvironment) -> None:
    """A job that is READY is shown with the slots that are taken and the jobs that come first."""
    ready = [make_job(Status.READY, job_id=f"job-{number}", created_at=NOW) for number in range(4)]
    for job in ready:
        environment.add_job(job)
    environment.jobs.replace(ready[0], ready[0].move(Status.SUBMITTING, now=NOW))
    last = event("job_item") | {"path": "/jobs/job-3"}
    assert asked(last)[1]["waiting"] == {"slots_taken": 1, "slots": 2, "jobs_before": 2}


@pytest.mark.usefixtures("environment")
def test_unknown_job_is_named() -> None:
    status, body = asked(event("job_item"))
    assert (status, body["error"]["code"]) == (404, "job_unknown")
    assert make_job().job_id in body["error"]["message"]


LOG = {
    "status": "IN_PROGRESS",
    "logs": [
        {
            "message": "Downloading https://s3.example/ada.zip?X-Amz-Signature=1 to x",
            "timestamp": "?",
        },
        {
            "message": " 1%|1| 25/2500 [00:50<1:22:30, 2.00s/it]\r 2%|2| 50/2500 [01:40<1:21:40, 2.00s/it]"
        },
    ],
}


def logs(after: str | None = None) -> tuple[int, Any]:
    """What is answered for the log of the one job."""
    query = {} if after is None else {"after": after}
    path = {"path": f"/jobs/{JOB_ID}/logs", "resource": "/jobs/{job_id}/logs"}
    several = {name: [value] for name, value in query.items()}
    return asked(
        event("job_item")
        | path
        | {"queryStringParameters": query or None, "multiValueQueryStringParameters": several}
    )


@pytest.mark.promise("interfaces stay")
def test_log_and_progress_of_a_training(environment: LambdaEnvironment) -> None:
    """A job's log is given from any line on, with the progress, and the job's state stays what it was."""
    before = environment.add_job(make_job(Status.TRAINING))
    environment.internet.says["queue.fal.run"] = httpx.Response(200, json=LOG)
    status, body = logs(after="1")
    progress = body.pop("progress")
    bar = {"message": "2%|2| 50/2500 [01:40<1:21:40, 2.00s/it]", "at": None}
    assert (status, body) == (
        200,
        {"job_id": JOB_ID, "status": "TRAINING", "lines": [bar], "next": 2, "queue_position": None},
    )
    assert (progress["step"], progress["percent"], progress["eta_seconds"]) == (50, 2.0, 4900.0)
    assert logs()[1]["lines"][0] == {
        "message": "Downloading https://s3.example/ada.zip to x",
        "at": None,
    }
    kept = environment.job(JOB_ID)
    assert kept.progress is not None
    assert kept == before.model_copy(update={"progress": kept.progress})


def test_log_without_fal_is_what_was_kept(environment: LambdaEnvironment) -> None:
    environment.add_job(make_job(Status.TRAINING))
    environment.internet.says["queue.fal.run"] = httpx.Response(503)
    status, body = logs(after="7")
    assert (status, body["lines"], body["next"], body["progress"]) == (200, [], 7, None)
    assert [logs(after=wrong)[0] for wrong in ("x", "-1")] == [400, 400]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/openapi.json"),
        ("DELETE", "/jobs/job-1"),
        ("GET", "/elsewhere"),
        ("GET", "/redrive"),
        ("POST", "/budget"),
        ("GET", "/jobs/job-1/retry"),
    ],
)
def test_other_routes_are_not_served(
    jobs: list[Job], environment: LambdaEnvironment, method: str, path: str
) -> None:
    request = event("jobs_list") | {"httpMethod": method, "path": path, "resource": path}
    assert asked(request)[0] == 404
    assert environment.job("job-1") in jobs


@pytest.mark.promise("it can be operated")
def test_budget_and_slots_are_shown(environment: LambdaEnvironment) -> None:
    """A person sees what is reserved, spent and left of the month's budget, and which jobs are at fal."""
    ready = environment.add_job(make_job(Status.READY, estimated_cost_usd=3.6))
    budget = event("jobs_list") | {"path": "/budget", "resource": "/budget"}
    before = asked(budget)[1]
    environment.jobs.replace(ready, ready.move(Status.SUBMITTING, now=NOW))
    after = asked(budget)[1]
    assert (before["left_usd"], before["in_flight"]) == (100.0, [])
    changed = {"reserved_usd": 3.6, "left_usd": 96.4, "in_flight": [ready.job_id]}
    assert after == before | changed
    assert after["limits"] == {"max_in_flight": 2, "monthly_usd": 100.0, "job_usd": 25.0}


ADA = "arn:aws:iam::123456789012:user/ada"
JOB_ID = make_job().job_id
ACTIONS = ["approve", "cancel", "retry", "replay"]


def act(action: str, body: str | None = None, *, job_id: str = JOB_ID) -> tuple[int, Any]:
    """What ada is answered who asks for an action on a job."""
    return asked(job_event(job_id, action, body))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("action", ACTIONS)
def test_unknown_job_has_no_actions(action: str) -> None:
    status, body = act(action, job_id="no-job")
    assert (status, body["error"]["code"]) == (404, "job_unknown")


@pytest.mark.parametrize(
    ("action", "state"),
    [*((action, Status.SUBMITTING) for action in ACTIONS), ("resolve", Status.TRAINING)],
)
def test_closed_decision_changes_nothing(
    environment: LambdaEnvironment, action: str, state: Status
) -> None:
    job = environment.add_job(make_job(state))
    body = event("job_resolve")["body"] if action == "resolve" else None
    status, answer = act(action, body)
    assert (status, answer["error"]["code"]) == (409, "nothing_to_decide")
    assert environment.job(job.job_id) == job
    assert environment.aws.messages(environment.inbox) == []


@pytest.mark.parametrize(
    ("action", "state", "after"),
    [
        *(("cancel", state, "CANCELLED") for state in (Status.RECEIVED, Status.READY, Status.HELD)),
        ("approve", Status.HELD, "READY"),
    ],
)
def test_decision_needs_no_fal(
    environment: LambdaEnvironment, action: str, state: Status, after: str
) -> None:
    """What waits is cancelled or approved under a person's name without any request to fal."""
    environment.add_job(make_job(state))
    code, body = act(action)
    assert (code, body["status"], body["history"][-1]["by"]) == (200, after, ADA)
    assert environment.internet.requests == []


def test_caller_with_a_key_acts_under_its_id(
    environment: LambdaEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    """The history names the key by its id; the key itself is in no log, and the document is the key's own."""
    environment.add_job(make_job(Status.READY))
    key = "Zq7" * 13
    code, body = asked(with_key(job_event(JOB_ID, "cancel"), key))
    assert (code, body["status"], body["history"][-1]["by"]) == (
        200,
        "CANCELLED",
        "api-key/k1a2b3c4d5",
    )
    openapi = event("jobs_list") | {"resource": "/openapi.json", "path": "/openapi.json"}
    code, described = asked(with_key(openapi, key))
    assert (code, described["security"]) == (200, [{"api_key": []}])
    assert "/jobs/{job_id}/approve" not in described["paths"]
    assert key not in capsys.readouterr().out


def test_fal_outage_cancels_nothing(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.TRAINING))
    environment.internet.says["queue.fal.run"] = httpx.Response(503)
    status, body = act("cancel")
    assert (status, body["error"]["code"]) == (503, "fal_unavailable")
    assert environment.job(job.job_id) == job


@pytest.mark.parametrize("body", [None, "", "{}", '{"resume": false}'])
def test_failed_job_is_retried(environment: LambdaEnvironment, body: str | None) -> None:
    failed = environment.add_job(make_job(Status.FAILED))
    status, new = act("retry", body)
    [message] = environment.aws.messages(environment.inbox)
    assert (status, new["status"], new["retry_of"]) == (200, "READY", failed.job_id)
    assert (new["attempt"], new["history"][-1]["by"]) == (2, ADA)
    assert failed.dataset.version_id in message
    assert environment.jobs.next_waiting() == environment.job(new["job_id"])
    assert environment.job(failed.job_id) == failed


def test_retry_resumes_from_lora(environment: LambdaEnvironment) -> None:
    lora = StoredFile(
        name="lora.safetensors", bucket="models", key="x/lora.safetensors", size=1, sha256="0"
    )
    trained = environment.add_job(make_job(Status.SUCCEEDED, files=(lora,)))
    status, new = act("retry", '{"resume": true}')
    assert (status, new["status"], new["resume_from"]) == (200, "READY", trained.job_id)
    assert act("retry", '{"resume": false}')[0] == 409


def test_doubtful_submission_is_resolved(environment: LambdaEnvironment) -> None:
    environment.add_job(make_job(Status.SUBMIT_UNKNOWN))
    status, body = asked(event("job_resolve"))
    assert (status, body["status"], body["request_id"]) == (200, "SUBMITTED", REQUEST_ID)
    assert body["history"][-1]["by"] == ADA


def test_unsubmitted_job_returns_to_inbox(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.SUBMIT_UNKNOWN))
    status, body = act("resolve", '{"not_submitted": true}')
    [message] = environment.aws.messages(environment.inbox)
    assert (status, body["status"]) == (200, "READY")
    assert job.dataset.version_id in message


INVALID = [
    *("retry " + body for body in ("[]", "{", '{"resume": 7}', '{"again": true}', "null", '"x"')),
    *("resolve " + body for body in ("", "{", "[]", "{}", '{"requestid": "a"}')),
    *("resolve " + body for body in ('{"request_id": "a b"}', '{"not_submitted": false}')),
    'resolve {"request_id": "a", "not_submitted": true}',
]


@pytest.mark.parametrize("words", INVALID)
def test_invalid_decision_is_refused(environment: LambdaEnvironment, words: str) -> None:
    action, _, body = words.partition(" ")
    retried = action == "retry"
    job = environment.add_job(make_job(Status.FAILED if retried else Status.SUBMIT_UNKNOWN))
    status, answer = act(action, body)
    assert (status, answer["error"]["code"]) == (400, "query_invalid")
    assert "resume" in answer["error"]["message"] or not retried
    assert environment.all_jobs() == (job,)


@pytest.mark.promise("it can be operated")
def test_dead_letters_are_redriven(environment: LambdaEnvironment) -> None:
    """One call sends the dead letters of all queues back to them."""
    dead = ((environment.dead_inbox, "a notice"), (environment.dead_results, "a result"))
    changed = (environment.dead_changes, "a change")
    for queue, body in (*dead, (environment.dead_results, "another"), changed):
        environment.aws.sqs.send_message(QueueUrl=queue, MessageBody=body)
    redrive = event("jobs_list") | {
        "httpMethod": "POST",
        "path": "/redrive",
        "resource": "/redrive",
    }

    first, second = asked(redrive), asked(redrive)

    assert first == (200, {"moved": {"inbox": 1, "results": 2, "notify": 1}})
    assert second == (200, {"moved": {"inbox": 0, "results": 0, "notify": 0}})
    assert environment.aws.messages(environment.inbox) == ["a notice"]
    assert environment.aws.messages(environment.changes) == ["a change"]
    assert sorted(environment.aws.messages(environment.results)) == ["a result", "another"]
