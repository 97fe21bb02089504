"""What ``lora-drop job`` says of a job's progress."""

from typing import Any

import httpx
import pytest

from lora_drop.jobs.progress import TrainingProgress
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_job
from tests.support.client_fixtures import Api, Run


def progress(step: int, eta: float | None) -> TrainingProgress:
    percent = 1000 * step // 2500 / 10
    return TrainingProgress(step=step, steps=2500, percent=percent, eta_seconds=eta, at=NOW)


@pytest.mark.parametrize(
    ("changes", "waiting", "line"),
    [
        ({"status": Status.READY}, (2, 2, 3), "waits for a slot: 2 of 2 taken, 3 jobs before it"),
        ({"status": Status.READY}, (2, 2, 1), "waits for a slot: 2 of 2 taken, 1 job before it"),
        ({"status": Status.READY}, (1, 2, 0), "waits for a slot: 1 of 2 taken"),
        ({"status": Status.SUBMITTED, "queue_position": 4}, None, "queue     4 before it at fal"),
        ({"status": Status.SUBMITTED, "queue_position": 0}, None, "queue     next at fal"),
        (
            {"status": Status.TRAINING, "progress": progress(75, 1330.0)},
            None,
            "progress  75 of 2500 steps, 3.0 %, about 22 min left",
        ),
        (
            {"status": Status.TRAINING, "progress": progress(1, None)},
            None,
            "progress  1 of 2500 steps, 0.0 % (at ",
        ),
        (
            {"status": Status.STORING, "progress": progress(2500, 0.0)},
            None,
            "progress  2500 of 2500 steps, 100.0 %\n",
        ),
    ],
)
def test_job_says_how_far_it_is(
    run: Run, api: Api, changes: dict[str, Any], waiting: tuple[int, ...] | None, line: str
) -> None:
    names = ("slots_taken", "slots", "jobs_before")
    shown = dict(zip(names, waiting, strict=True)) if waiting else None
    document = public(make_job(**changes))
    api.answers = [httpx.Response(200, json={**document, "waiting": shown})]
    assert line in run("job", document["job_id"]).output
