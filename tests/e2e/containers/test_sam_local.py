"""Every event of ``events/`` through ``sam local``, in containers, against a live stack."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from lora_drop.local.events import EVENTS
from lora_drop.local.processes import free_port, start
from lora_drop.local.stack import HOME
from lora_drop.local.tools import ROOT
from tests.e2e.containers.conftest import ARCHITECTURE, PATIENCE, Containers

pytestmark = pytest.mark.containers

QUEUED = "portrait/queued.zip"
BARE = "bare.zip"
README_LINE = re.compile(r"(?<=\$ )lora-drop event (?:.*\\\n)*.*")


@pytest.fixture(scope="module")
def trained(containers: Containers) -> dict[str, str]:
    """Two jobs that were submitted in a container and whose training has ended; key to job id."""
    ids = {}
    for event, key in (("s3_put_in_sqs", QUEUED), ("s3_put", BARE)):
        containers.drop(key)
        assert containers.invoke("SubmitFunction", event, key=key) == {"batchItemFailures": []}
        ids[key] = containers.job(key)["job_id"]
    _wait_for_trainings(containers, len(ids))
    return ids


def _wait_for_trainings(containers: Containers, count: int) -> None:
    end = monotonic() + 60
    while monotonic() < end:
        ended = [row for row in containers.simulator.requests() if row["status"] == "COMPLETED"]
        if len(ended) >= count:
            return
        sleep(0.2)
    raise AssertionError(f"{count} trainings did not end")


def test_both_kinds_of_s3_event_submit_once(
    containers: Containers, trained: dict[str, str]
) -> None:
    again = containers.invoke("SubmitFunction", "s3_put_in_sqs", key=QUEUED)

    posts = containers.simulator.ledger()["submissions"]
    assert again == {"batchItemFailures": []}
    assert len(posts) == len(trained) == 2
    assert {containers.job(key)["status"] for key in trained} == {"SUBMITTED"}


def test_a_job_that_is_at_fal_is_not_forgotten(
    containers: Containers, trained: dict[str, str]
) -> None:
    answer = containers.invoke("ForgetFunction", "job_forget", job_id=trained[BARE])

    assert answer["statusCode"] == 409
    assert containers.job(BARE)["status"] == "SUBMITTED"


def test_a_forged_webhook_is_refused(containers: Containers, trained: dict[str, str]) -> None:
    answer = containers.invoke("WebhookFunction", "webhook_forged", job_id=trained[QUEUED])

    assert answer["statusCode"] == 401
    assert containers.job(QUEUED)["status"] == "SUBMITTED"


def test_a_webhook_and_its_result_make_a_lora(
    containers: Containers, trained: dict[str, str]
) -> None:
    job_id = trained[QUEUED]

    delivered = containers.invoke("WebhookFunction", "webhook_ok", job_id=job_id)
    waiting = containers.job(QUEUED)["status"]
    stored = containers.invoke("StoreFunction", "results_batch", job_id=job_id)

    job = containers.job(QUEUED)
    served = {row["file_sha256"] for row in containers.simulator.ledger()["served"]}
    assert (delivered["statusCode"], waiting) == (200, "STORING")
    assert stored == {"batchItemFailures": []}
    assert job["status"] == "SUCCEEDED"
    assert {file["sha256"] for file in job["files"]} <= served


def test_a_job_without_a_proof_sheet_stays_as_it_is(
    containers: Containers, trained: dict[str, str]
) -> None:
    answer = containers.invoke("SubmitFunction", "proof_batch", job_id=trained[BARE])

    assert answer == {"batchItemFailures": []}


def test_an_error_webhook_ends_the_job(containers: Containers, trained: dict[str, str]) -> None:
    answer = containers.invoke("WebhookFunction", "webhook_error", job_id=trained[BARE])

    job = containers.job(BARE)
    assert answer["statusCode"] == 200
    assert job["status"] == "FAILED"
    assert job["problems"][0]["code"].startswith("fal_")


def test_the_schedule_runs_a_round(containers: Containers, trained: dict[str, str]) -> None:
    tally = containers.invoke("ReconcileFunction", "schedule")

    assert set(tally) >= {"open", "late", "unanswered"}
    assert 0 <= tally["open"] <= len(trained)
    assert containers.invoke("ReconcileFunction", "schedule_drift") == {"differences": 0}


def test_without_a_receiver_no_change_is_sent(
    containers: Containers, trained: dict[str, str]
) -> None:
    fetched = containers.invoke("FetchFunction", "fetch_batch", job_id=trained[BARE])
    assert fetched == {"batchItemFailures": []}  # its dataset is there
    sent = containers.invoke("NotifyFunction", "notify_batch", job_id=trained[BARE])

    assert sent == {"batchItemFailures": []}


def test_jobs_are_listed_and_shown(containers: Containers, trained: dict[str, str]) -> None:
    listed = containers.invoke("JobsFunction", "jobs_list")
    shown = containers.invoke("JobsFunction", "job_item", job_id=trained[BARE])
    form = containers.invoke("JobsFunction", "datasets_post")

    assert json.loads(form["body"])["key"].endswith("/ada.zip")
    assert {job["job_id"] for job in json.loads(listed["body"])["jobs"]} <= set(trained.values())
    assert json.loads(shown["body"])["job_id"] == trained[BARE]


def test_a_decision_that_is_not_open_is_refused(
    containers: Containers, trained: dict[str, str]
) -> None:
    answer = containers.invoke("JobsFunction", "job_resolve", job_id=trained[BARE])

    assert answer["statusCode"] == 409


@pytest.fixture(scope="module")
def api(containers: Containers) -> Iterator[str]:
    """The URL of ``sam local start-api``."""
    port = free_port()
    process = start(
        "sam local start-api",
        containers.sam_local("start-api", "--port", str(port)),
        log=containers.local.state / "start-api.log",
        env=containers.environment(),
        ready=lambda: _answers(port),
        timeout=60,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.end()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/nowhere").status_code in (403, 404)
    except httpx.HTTPError:
        return False


def test_the_api_takes_webhooks_and_answers_questions(containers: Containers, api: str) -> None:
    key = "api.zip"
    containers.drop(key)
    containers.invoke("SubmitFunction", "s3_put", key=key)
    job_id = containers.job(key)["job_id"]
    _wait_for_trainings(containers, 3)

    with httpx.Client(base_url=api, timeout=60) as http:
        answers = {}
        for name in ("webhook_forged", "webhook_ok"):
            event = containers.event(name, job_id=job_id)
            answers[name] = http.post(
                event["path"], content=event["body"], headers=event["headers"]
            )
        listed = http.get("/jobs", params={"status": "STORING"}).json()
        shown = http.get(f"/jobs/{job_id}").json()
        unknown = http.get("/jobs/absent-0123456789")

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "webhook_forged": 401,
        "webhook_ok": 200,
    }
    assert [job["job_id"] for job in listed["jobs"]] == [job_id]
    assert shown["status"] == "STORING"
    assert unknown.status_code == 404


def test_the_line_in_the_readme_runs(containers: Containers, trained: dict[str, str]) -> None:
    del trained
    [shown] = README_LINE.findall((ROOT / "docs" / "developers.md").read_text())
    line = (
        shown.replace("ada.zip", QUEUED)
        .replace(".lora-drop/", f"{containers.local.state}/")
        .replace("Architecture=x86_64", f"Architecture={ARCHITECTURE}")
    )
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(  # noqa: S603  # our own words
        ["/bin/bash", "-o", "pipefail", "-c", f"{line} --skip-pull-image"],
        cwd=ROOT,
        env={**os.environ, HOME: str(containers.local.state), "PATH": programs},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"batchItemFailures": []}


def test_every_committed_event_was_run_above(containers: Containers) -> None:
    """Last in this file, and true only after all of it."""
    assert containers.used == {file.stem for file in EVENTS.glob("*.json")}
