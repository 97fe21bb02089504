"""The jobs API as it is deployed: a dataset from an address, the documented example, and schemathesis on every route."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from ssl import create_default_context
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from schemathesis import GenerationMode

from lora_drop.client.job import Job
from lora_drop.client.stack import find_stack
from lora_drop.client.stack_client import StackClient
from lora_drop.local.stack import HOME
from tests.e2e.conftest import Deployed, close_connections
from tests.support.api_checks import CHECKS, calls

pytestmark = [
    pytest.mark.stack,
    pytest.mark.proof,
    # The example and schemathesis leave connections open until they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
MOST = 25  # calls of a route, of each kind


@pytest.fixture(scope="module", autouse=True)
def _connections() -> Iterator[None]:
    """Let go of those connections here, so that no later test is taken to have left them open."""
    yield
    close_connections()


class Signed(requests.auth.AuthBase):
    """Signs requests as a caller with IAM credentials does."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url
        signed = AWSRequest(method=request.method, url=request.url, data=request.body)
        SigV4Auth(Credentials("test", "test"), "execute-api", "us-east-1").add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


@pytest.fixture
def client(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> StackClient:
    monkeypatch.setenv(HOME, str(deployed.local.state))
    return StackClient(find_stack(None))


@pytest.fixture
def trained(
    deployed: Deployed,
    client: StackClient,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """The job that docs/developers.md orders, at its end."""
    sample = root / "shared/lora_drop/local/samples/astronaut.zip"
    (tmp_path / "ada.zip").write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    page = (root / "docs/developers.md").read_text()
    [example] = re.findall(r"```python\n(import httpx\n.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/developers.md", "exec"), names)  # noqa: S102  # our own page
    job_id = names["job"]["job_id"]
    Job.of(client, job_id).wait(timeout=300)
    job = client.job(job_id)
    assert job["status"] == "SUCCEEDED", job
    assert len(deployed.posts_of(job)) == 1
    return job


def test_calls_are_answered_as_described(
    deployed: Deployed, client: StackClient, trained: dict[str, Any]
) -> None:
    """No server error and no answer that docs/openapi.json does not describe, with a real job and without."""
    [weights, *_] = client.files(trained["job_id"])
    assert len(httpx.get(weights["url"]).content) == weights["size"]
    url = client.stack.api_url
    served = requests.get(f"{url}/openapi.json", auth=Signed(), timeout=30).json()
    described = schemathesis.openapi.from_dict(served | {"security": []})

    def about_the_job(_: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        known = parameters and len(str(parameters["job_id"])) % 2
        return {"job_id": trained["job_id"]} if known else parameters

    described.hook("map_path_parameters")(about_the_job)
    found: list[Any] = list(described.get_all_operations())
    operations = [each.ok() for each in found]
    for operation in sorted(operations, key=lambda each: "forget" in each.path):
        modes = (
            list(GenerationMode) if operation.body or operation.query else [GenerationMode.POSITIVE]
        )
        for mode in modes:
            _call(operation, mode, url)
    assert urlsplit(url).hostname == "127.0.0.1"
    assert deployed.simulator.ledger()["submissions"]  # what was paid, was paid to the simulator


@dataclass(frozen=True, slots=True)
class ByKey:
    """The API for callers with a key, and their key."""

    url: str
    key: str

    def ask(self, path: str, method: str = "GET", key: str | None = None, **more: Any) -> int:
        """The status of the answer to a request with the key, or another one."""
        headers = {"x-api-key": self.key if key is None else key}
        return httpx.request(
            method, self.url + path, headers=headers, timeout=60, **more
        ).status_code


@pytest.fixture(scope="module")
def by_key(deployed: Deployed) -> ByKey:
    access = json.loads(deployed.run("up", "--json", "--parameter", "ApiKeyAccess=true"))
    gateway = deployed.client("apigateway")
    key_id = access["outputs"]["ServiceKeyId"]
    return ByKey(
        access["key_api_url"], gateway.get_api_key(apiKey=key_id, includeValue=True)["value"]
    )


@pytest.mark.promise("interfaces stay")
def test_curl_lines_are_answered_as_printed(
    stack: Deployed, by_key: ByKey, root: Path, tmp_path: Path
) -> None:
    """Each curl line of docs/developers.md, as it stands there, gets an answer of the form that is printed below it."""
    text = (root / "docs/developers.md").read_text()
    lines = re.findall(r"^\$ (curl (?:.*\\\n)*.*)\n(\{.*\})$", text, re.MULTILINE)
    lines += [(line, "") for line in re.findall(r"`(curl [^`]+)`", text)]
    # The one that orders a dataset from an address names a host that is not there; others run that order.
    assert len(lines) == len(re.findall(r"\bcurl ", text)) - 1 == 3
    (tmp_path / "ca.pem").write_bytes(Path(stack.access["fal_ca_file"]).read_bytes())
    env = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": stack.access["region"],
        "AWS_ACCESS_KEY_ID": stack.access["access_key"],
        "AWS_SECRET_ACCESS_KEY": stack.access["secret_key"],
        "API_URL": stack.access["api_url"],
        "KEY_API_URL": by_key.url,
        "KEY": by_key.key,
    }
    for line, printed in lines:
        command = line.replace("https://HOST:PORT", stack.access["fal_url"]) + " --fail -s"
        done = subprocess.run(  # noqa: S602  # our own page
            command, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        answer = json.loads(done.stdout)
        if printed:
            wanted = json.loads(printed)
            assert answer.keys() == wanted.keys()
            assert {name: type(value) for name, value in answer.items()} == {
                name: type(value) for name, value in wanted.items()
            }


@pytest.mark.promise("nothing leaks")
def test_key_opens_its_own_routes_alone(deployed: Deployed, by_key: ByKey) -> None:
    """Without the key nothing is answered, with it the routes of its own address, and above its plan 429."""
    job = f"/jobs/{deployed.train(deployed.local.sample)['job_id']}"
    for path in ("/jobs", job, f"{job}/files", f"{job}/logs", "/budget", "/openapi.json"):
        answers = [by_key.ask(path, key=key) for key in ("", "wrong", by_key.key)]
        assert answers == [403, 403, 200], path
    assert by_key.ask("/datasets", "POST", json={"name": "ada.zip"}) == 200
    assert by_key.ask(f"{job}/cancel", "POST") == 409  # it has ended
    for path in (f"{job}/approve", f"{job}/forget", f"{job}/resolve", f"{job}/replay", "/redrive"):
        assert by_key.ask(path, "POST", json={}) in {403, 404}, path
    other = replace(by_key, url=deployed.access["api_url"])
    assert other.ask("/jobs") == 403
    # The plan's own numbers need a burst that this machine may not make.
    gateway = deployed.client("apigateway")
    [plan] = gateway.get_usage_plans()["items"]
    smaller = {"/throttle/burstLimit": "2", "/throttle/rateLimit": "0.001"}
    gateway.update_usage_plan(
        usagePlanId=plan["id"],
        patchOperations=[
            {"op": "replace", "path": path, "value": value} for path, value in smaller.items()
        ],
    )
    assert [by_key.ask("/budget") for _ in range(3)] == [200, 200, 429]


@pytest.fixture
def dataset_url(deployed: Deployed, root: Path) -> Iterator[str]:
    """Where the sample lies, on a server with https on this machine that the stack may fetch from: the simulator's CDN."""
    running = deployed.local.running()
    assert running
    fal = running.fal
    sample = (root / "shared/lora_drop/local/samples/astronaut.zip").read_bytes()
    trusted = create_default_context(cafile=fal.ca_file)
    with httpx.Client(base_url=fal.url, verify=trusted) as http:
        key = {"Authorization": f"Key {fal.key}"}
        token = http.post("/storage/auth/token", json={}, headers=key).json()["token"]
        headers = {"Authorization": f"Bearer {token}", "X-Fal-File-Name": "ada.zip"}
        url = http.post("/files/upload", content=sample, headers=headers).json()["access_url"]
    deployed.run("up", "--parameter", f"DatasetHosts={urlsplit(url).netloc}")
    yield url
    deployed.run("up", "--parameter", "DatasetHosts=")


@pytest.mark.promise("never pay twice", "A dataset that POST /jobs has fetched is paid for once.")
def test_dataset_is_fetched_from_its_address(
    deployed: Deployed, client: StackClient, dataset_url: str
) -> None:
    """An order from an address is trained, once however often it comes; one whose file is not there is rejected."""

    def ordered(url: str) -> dict[str, Any]:
        parameters = {"steps": 1000}
        body: Any = {"url": url, "name": "ada.zip", "parameters": parameters, "force": True}
        answer = requests.post(f"{client.stack.api_url}/jobs", json=body, auth=Signed(), timeout=30)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    first, again, gone = ordered(dataset_url), ordered(dataset_url), ordered(f"{dataset_url}.none")
    assert (first["status"], again["job_id"]) == ("RECEIVED", first["job_id"])
    for each in (first, gone):
        Job.of(client, each["job_id"]).wait(timeout=300)

    job, refused = client.job(first["job_id"]), client.job(gone["job_id"])
    assert (job["status"], job["parameters"]["steps"]) == ("SUCCEEDED", 1000)
    assert (ordered(dataset_url)["job_id"], len(deployed.posts_of(job))) == (job["job_id"], 1)
    assert refused["status"] == "REJECTED"
    assert [each["code"] for each in refused["problems"]] == ["dataset_url_gone"]
    assert "lora.safetensors" in deployed.files_of(job)
    assert set(deployed.files_of(refused)) == {"status.json", "ERROR.txt"}


def _call(operation: Any, mode: GenerationMode, url: str) -> None:
    @calls(MOST)
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        case.call_and_validate(base_url=url, checks=CHECKS, auth=Signed(), timeout=60)

    call()
