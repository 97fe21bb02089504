"""What the tests of adapters share: an AWS in this process, a bucket, and fal's simulator."""

from collections.abc import Iterator

import pytest

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.support.aws import Aws, moto


@pytest.fixture
def aws() -> Iterator[Aws]:
    with moto() as world:
        yield world


@pytest.fixture
def models(aws: Aws) -> str:
    return aws.bucket("models")


@pytest.fixture(scope="module")
def fal() -> Iterator[ControlClient]:
    """A simulator whose trainings take no time."""
    with running_simulator(SimulatorConfig(training_seconds=0, lora_rank=1)) as simulator:
        yield simulator
