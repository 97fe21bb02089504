"""A training is watched: through the client and the API to the simulator, which writes tqdm's lines."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aws_lambda_powertools import Logger

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.api import jobs_api
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.jobs.status import Status
from lora_drop.services.training_log import TrainingLogs
from lora_drop.simulator.training_log import bar
from tests.simulator.conftest import PointFalClient, Simulate
from tests.simulator.fal_calls import Receiver
from tests.simulator.pipeline import TrainerAtFal, world_at
from tests.support.client_fixtures import aws_session
from tests.support.lambda_environment import Context, event
from tests.support.world import World


def client_of(world: World) -> StackClient:
    """The client of a stack whose jobs function is this world, called as API Gateway calls it."""
    assert isinstance(world.fal, TrainerAtFal)
    real: FalQueueClient = world.fal.fal
    bootstrap: Any = SimpleNamespace(training_logs=TrainingLogs(world.record, real, world.progress))
    app = jobs_api(lambda: bootstrap, Logger())

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        several = {name: [value] for name, value in query.items()}
        asked = event("job_item") | {
            "path": request.url.path.removeprefix("/live"),
            "queryStringParameters": query,
            "multiValueQueryStringParameters": several,
        }
        found = app.resolve(asked, Context())
        return httpx.Response(found["statusCode"], content=found["body"])

    stack = Stack("test", aws_session(), None, "https://api.example/live", "datasets", "models")
    return StackClient(stack, http=httpx.Client(transport=httpx.MockTransport(answer)))


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("seconds", [3.0, pytest.param(40.0, marks=pytest.mark.proof)])
def test_progress_is_never_old_and_ends_at_100(
    simulate: Simulate, receiver: Receiver, point_fal_client: PointFalClient, seconds: float
) -> None:
    """The percent that a watcher sees is at most 3 seconds old, never falls, and ends at 100."""
    calls = simulate(training_seconds=seconds, max_in_progress=1)
    point_fal_client(calls.sim)
    world = world_at(calls, f"{receiver.url}/hook")
    world.clock = lambda: datetime.now(UTC)  # type: ignore[assignment]  # the real one
    first, second = (world.submit(world.drop(f"{n}.zip", images=n, metadata={"steps": "1000"})) for n in (12, 13))  # fmt: skip
    client, looks = client_of(world), list[tuple[datetime, float]]()
    lines, queue = list[dict[str, Any]](), set[Any]()
    while world.job(first.job_id).status in (Status.SUBMITTED, Status.TRAINING):
        page = client.logs(first.job_id, len(lines))
        lines += page["lines"]
        looks.append((datetime.now(UTC), page["progress"]["percent"] if page["progress"] else 0.0))
        queue.add(client.logs(second.job_id)["queue_position"])
        if looks[-1][1] == 100:
            world.reconciler.request_status_check(first.job_id)
        time.sleep(min(1.0, seconds / 10))
    looks.append((datetime.now(UTC), client.logs(first.job_id, len(lines))["progress"]["percent"]))

    percents = [percent for _, percent in looks]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    # When the trainer had come so far, by its own log; a percent stands on the screen until the next look.
    come = {
        float(line["message"].split(": ")[1].split("%")[0]): datetime.fromisoformat(line["at"])
        for line in lines
        if line["message"].startswith("Training")
    }
    came = {0.0: looks[0][0], **come}
    ages = [
        (until - came[max(at for at in came if at <= percent)]).total_seconds()
        for (until, _), (_, percent) in zip(looks[1:], looks, strict=False)
        if percent < 100
    ]
    assert max(ages) <= 3
    assert len(lines) == len({(line["at"], line["message"]) for line in lines}) >= 20
    assert {0} <= queue <= {0, None}


@pytest.mark.parametrize(
    ("step", "elapsed", "line"),
    [
        (75, 41.0, "x:   3%|▎         | 75/2500 [00:41<22:05,  1.83it/s]"),
        (2500, 12500.0, "x: 100%|██████████| 2500/2500 [3:28:20<00:00,  5.00s/it]"),
        (0, 0.0, "x:   0%|          | 0/2500 [00:00<?, ?it/s]"),
    ],
)
def test_bar_is_tqdms(step: int, elapsed: float, line: str) -> None:
    assert bar("x", step, 2500, elapsed) == line
