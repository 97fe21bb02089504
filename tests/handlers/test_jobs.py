import json
from datetime import timedelta
from typing import Any

import pytest

from functions.jobs.handler import handler
from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, REQUEST_ID, make_job
from tests.support.lambda_environment import Context, House, event


@pytest.fixture
def jobs(house: House) -> list[Job]:
    """Five jobs, newest first; every other one is being trained."""
    return [
        house.holds(
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


def test_the_newest_jobs_are_listed(jobs: list[Job]) -> None:
    assert asked(event("jobs_list")) == (200, {"jobs": list(map(public, jobs)), "next": None})


def test_without_a_query_the_newest_jobs_are_listed(jobs: list[Job]) -> None:
    status, body = listing()

    assert (status, [job["job_id"] for job in body["jobs"]]) == (200, [job.job_id for job in jobs])


@pytest.mark.usefixtures("house")
def test_without_jobs_the_list_is_empty() -> None:
    assert asked(event("jobs_list")) == (200, {"jobs": [], "next": None})


@pytest.mark.parametrize("limit", ["1", "2", "3", "100"])
def test_the_pages_together_are_all_the_jobs(jobs: list[Job], limit: str) -> None:
    status, page = listing(limit=limit)
    found = page["jobs"]
    while page["next"]:
        status, page = listing(limit=limit, cursor=page["next"])
        assert status == 200
        assert len(page["jobs"]) <= int(limit)
        found += page["jobs"]

    assert [job["job_id"] for job in found] == [job.job_id for job in jobs]


def test_jobs_of_one_state_alone_are_listed_page_by_page(jobs: list[Job]) -> None:
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
        ({"cursor": "somebody else's"}, "cursor"),
        ({"cursor": "eyJwayI6IDEsICJzayI6IDJ9"}, "cursor"),
    ],
)
def test_a_query_that_is_not_of_its_form_is_told_what_is_wrong(
    query: dict[str, str], named: str
) -> None:
    status, body = listing(**query)

    assert (status, body["error"]["code"]) == (400, "query_invalid")
    assert named in body["error"]["message"]
    assert "\n" not in body["error"]["message"]
    assert "pydantic" not in body["error"]["message"]


def test_a_cursor_of_another_list_is_refused(jobs: list[Job]) -> None:
    _, page = listing(limit="2")

    status, body = listing(limit="2", status=jobs[0].status, cursor=page["next"])

    assert (status, body["error"]["code"]) == (400, "query_invalid")


def test_one_job_is_shown_as_its_public_self(house: House) -> None:
    job = house.holds(make_job(Status.STORING))

    status, body = asked(event("job_item"))

    assert (status, body) == (200, public(job))
    assert "artifacts" not in body


@pytest.mark.usefixtures("house")
def test_an_unknown_job_is_told_as_such() -> None:
    status, body = asked(event("job_item"))

    assert (status, body["error"]["code"]) == (404, "job_unknown")
    assert make_job().job_id in body["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/jobs"), ("DELETE", "/jobs/job-1"), ("GET", "/elsewhere")]
)
def test_nothing_else_is_served(jobs: list[Job], house: House, method: str, path: str) -> None:
    request = event("jobs_list") | {"httpMethod": method, "path": path}

    assert handler(request, Context())["statusCode"] == 404
    assert house.job("job-1") in jobs


def test_a_row_that_cannot_be_read_is_our_trouble_and_not_the_askers(house: House) -> None:
    house.holds(make_job())
    house.aws.dynamodb.update_item(
        TableName=house.table,
        Key={"pk": {"S": make_job().job_id}, "sk": {"S": "job"}},
        UpdateExpression="SET images = :value",
        ExpressionAttributeValues={":value": {"S": "many"}},
    )

    for name in ("jobs_list", "job_item"):
        with pytest.raises(ValueError, match="images"):
            handler(event(name), Context())


def test_a_person_settles_a_doubtful_submission_under_their_name(house: House) -> None:
    house.holds(make_job(Status.SUBMIT_UNKNOWN))

    status, body = asked(event("job_resolve"))

    assert (status, body["status"], body["request_id"]) == (200, "SUBMITTED", REQUEST_ID)
    assert body["history"][-1]["by"] == "arn:aws:iam::123456789012:user/ada"


def test_a_submission_that_never_arrived_goes_back_into_the_inbox(house: House) -> None:
    job = house.holds(make_job(Status.SUBMIT_UNKNOWN))

    status, body = asked(event("job_resolve") | {"body": '{"not_submitted": true}'})

    [message] = house.aws.messages(house.inbox)
    assert (status, body["status"]) == (200, "READY")
    assert job.dataset.version_id in message


def test_what_is_not_in_doubt_cannot_be_settled(house: House) -> None:
    house.holds(make_job(Status.TRAINING))

    status, body = asked(event("job_resolve"))

    assert (status, body["error"]["code"]) == (409, "nothing_to_decide")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"request_id": "a b"}',
        '{"request_id": "a", "not_submitted": true}',
        '{"requestid": "a"}',
        '{"not_submitted": false}',
    ],
)
def test_a_decision_that_is_none_is_refused(house: House, said: str) -> None:
    job = house.holds(make_job(Status.SUBMIT_UNKNOWN))

    status, body = asked(event("job_resolve") | {"body": said})

    assert (status, body["error"]["code"]) == (400, "query_invalid")
    assert house.job(job.job_id) == job


def test_a_person_lets_a_held_job_go_on(house: House) -> None:
    job = house.holds(make_job(Status.HELD))
    approval = {"resource": "/jobs/{job_id}/approve", "path": f"/jobs/{job.job_id}/approve"}

    status, body = asked(event("job_resolve") | approval)

    assert (status, body["status"]) == (200, "READY")
    assert body["history"][-1]["by"].endswith("user/ada")


def test_a_misspelt_part_of_a_query_is_not_passed_over(jobs: list[Job]) -> None:
    assert jobs
    assert listing(statsu="FAILED")[0] == 400
