"""The page over the functions themselves: what it offers the API does, and what the API would do it offers."""

from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from lora_drop.client.errors import CommandError, JobErasedError
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ui import stack_backend
from lora_drop.ui.backends import Action
from lora_drop.ui.stack_backend import StackBackend
from tests.handlers.test_api_calls import gateway
from tests.support.builders import make_dataset, make_job
from tests.support.lambda_environment import LambdaEnvironment


@pytest.fixture
def page(environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackBackend]:
    monkeypatch.setattr(stack_backend, "PAUSE", 0.0)
    names = environment.variables()
    buckets = names["DATASETS_BUCKET"], names["MODELS_BUCKET"]
    session = boto3.Session(region_name="us-east-1")
    stack = Stack("test", session, None, "https://api.example/live", *buckets)
    app: Any = gateway
    transport = httpx.WSGITransport(app=app)
    backend = StackBackend(StackClient(stack, http=httpx.Client(transport=transport)))
    yield backend
    backend.close()


def added(environment: LambdaEnvironment, status: Status, number: int) -> Job:
    """A job with a dataset of its own."""
    key = f"{status.value.lower()}-{number}.zip"
    job_id = f"{status.lower().replace('_', '-')}-{number:010x}"
    return environment.add_job(make_job(status, job_id=job_id, dataset=make_dataset(key)))


@pytest.mark.promise("it can be operated")
def test_actions_are_those_that_the_api_takes(
    page: StackBackend, environment: LambdaEnvironment
) -> None:
    """In every state of a job the page offers the decisions that the API accepts, and no other."""
    for number, (status, action) in enumerate((s, a) for s in Status for a in Action):
        environment.empty_table()  # a job is forgotten quickly where there are few
        job = added(environment, status, number)
        offered = page.card(job.job_id).actions
        try:
            if action in offered or action is Action.FORGET:
                assert page.question(job.job_id, action).action is action
            page.act(job.job_id, action)
            taken = True
        except CommandError:
            taken = False
        assert taken is (action in offered), (status, action)
    assert environment.internet.posts == []


def test_forgotten_job_is_gone(page: StackBackend, environment: LambdaEnvironment) -> None:
    job = added(environment, Status.SUCCEEDED, 1)
    assert f"{job.job_id}  SUCCEEDED, paid" in page.question(job.job_id, Action.FORGET).sentences[1]
    page.act(job.job_id, Action.FORGET)
    assert job.job_id not in {each.job_id for each in environment.all_jobs()}
    with pytest.raises(JobErasedError):
        page.card(job.job_id)


def test_page_shows_what_the_api_answers(
    page: StackBackend, environment: LambdaEnvironment
) -> None:
    environment.internet.status = {"status": "IN_QUEUE", "queue_position": 2, "logs": None}
    job = added(environment, Status.SUBMITTED, 1)
    waiting = added(environment, Status.READY, 2)
    assert page.card(job.job_id).queue_position == 2
    assert "slots taken, no job before it" in (page.card(waiting.job_id).waiting or "")
    found = page.jobs(search=job.job_id.upper())
    assert [row.id for row in found.rows] == [job.job_id]
    budget = page.budget()
    assert budget is not None
    assert budget.words.endswith("this month")
