"""The jobs function: jobs are listed page by page, and shown one by one."""

import json
from datetime import timedelta
from typing import Any

import pytest

from functions.jobs.handler import handler
from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event


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


@pytest.mark.usefixtures("environment")
def test_without_jobs_list_is_empty() -> None:
    assert asked(event("jobs_list")) == (200, {"jobs": [], "next": None})


@pytest.mark.parametrize("limit", ["1", "2", "3", "100"])
def test_pages_are_all_jobs(jobs: list[Job], limit: str) -> None:
    status, page = listing(limit=limit)
    found = page["jobs"]
    while page["next"]:
        status, page = listing(limit=limit, cursor=page["next"])
        assert status == 200
        assert len(page["jobs"]) <= int(limit)
        found += page["jobs"]

    assert [job["job_id"] for job in found] == [job.job_id for job in jobs]


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


def test_cursor_of_another_list_is_refused(jobs: list[Job]) -> None:
    _, page = listing(limit="2")
    status, body = listing(limit="2", status=jobs[0].status, cursor=page["next"])
    assert (status, body["error"]["code"]) == (400, "query_invalid")


@pytest.mark.promise("nothing leaks")
def test_job_is_shown_as_public(environment: LambdaEnvironment) -> None:
    """The API shows the public fields of a job, and not the addresses of its files at fal."""
    job = environment.add_job(make_job(Status.STORING))
    status, body = asked(event("job_item"))
    assert (status, body) == (200, public(job))
    assert "artifacts" not in body


@pytest.mark.usefixtures("environment")
def test_unknown_job_is_named() -> None:
    status, body = asked(event("job_item"))
    assert (status, body["error"]["code"]) == (404, "job_unknown")
    assert make_job().job_id in body["error"]["message"]


def test_unreadable_row_is_an_error(environment: LambdaEnvironment) -> None:
    """A row that cannot be read is an internal error, and not the caller's."""
    environment.add_job(make_job())
    environment.break_row(make_job().job_id, "many")
    for name in ("jobs_list", "job_item"):
        with pytest.raises(ValueError, match="images"):
            handler(event(name), Context())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
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

    assert (before["left_usd"], before["in_flight"]) == (100.0, [])
    assert asked(budget) == (
        200,
        {
            "month": "2026-11",
            "reserved_usd": 3.6,
            "spent_usd": 0.0,
            "wasted_usd": 0.0,
            "left_usd": 96.4,
            "in_flight": [ready.job_id],
            "limits": {"max_in_flight": 2, "monthly_usd": 100.0, "job_usd": 25.0},
        },
    )
