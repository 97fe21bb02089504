"""schemathesis calls the jobs functions as docs/openapi.json describes them, in this process; nothing can be paid here."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

import pytest
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode

from functions.forget.handler import handler as forget
from functions.jobs.handler import handler as jobs
from lora_drop.jobs.status import Status
from lora_drop.openapi import document
from tests.support.api_checks import CHECKS, calls
from tests.support.builders import make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import job_event

type Start = Callable[[str, list[tuple[str, str]]], None]


def gateway(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """API Gateway as a WSGI server: it hands a request to the function behind its path."""
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace").removeprefix("/live")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    parts = path.split("/")
    request = event("job_resolve") | {
        "httpMethod": environ["REQUEST_METHOD"],
        "path": path,
        "pathParameters": {"job_id": parts[2]} if parts[1] == "jobs" and len(parts) > 2 else None,
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        "body": body.decode(errors="replace") or None,
    }
    answer = (forget if path.endswith("/forget") else jobs)(request, Context())
    status = f"{answer['statusCode']} OK"
    start(status, [("Content-Type", answer["multiValueHeaders"]["Content-Type"][0])])
    return [answer["body"].encode()]


JOBS = {f"{status.lower().replace('_', '-')}-{0:010x}": status for status in Status}


def about_known_jobs(_: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Every other call is about a job that is there."""
    if not path_parameters:
        return path_parameters
    job_id = str(path_parameters["job_id"])
    known = sorted(JOBS)[sum(map(ord, job_id)) % len(JOBS)]
    return {"job_id": job_id if len(job_id) % 2 else known}


def called(operation: Any, mode: GenerationMode, most: int) -> None:
    """Call one operation with data that fits its description, or with data that does not."""

    @calls(most)
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    call()


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("most", [2, pytest.param(60, marks=pytest.mark.proof)])
def test_calls_are_answered_as_described(environment: LambdaEnvironment, most: int) -> None:
    """Every answer of the API, also to calls that are wrong in any way, is as docs/openapi.json describes it."""
    for job_id, status in JOBS.items():
        environment.add_job(make_job(status, job_id=job_id))
    # Who may call is API Gateway's business.
    described = schemathesis.openapi.from_dict(document() | {"security": []})
    described.app = gateway
    described.hook("map_path_parameters")(about_known_jobs)
    operations: list[Any] = list(described.get_all_operations())
    for found in operations:
        operation = found.ok()
        called(operation, GenerationMode.POSITIVE, most)
        if operation.body or operation.query:
            called(operation, GenerationMode.NEGATIVE, most)


def test_endless_id_is_no_job(environment: LambdaEnvironment) -> None:
    """DynamoDB takes no key of more than 2,048 bytes."""
    for answer in (
        jobs(job_event("a" * 3000), Context()),
        forget(job_event("a" * 3000, "forget"), Context()),
    ):
        assert (answer["statusCode"], environment.internet.requests) == (404, [])
        assert len(answer["body"]) < 300
