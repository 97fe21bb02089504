"""`lora-drop event` on a stack that is up."""

import pytest

from lora_drop.local.events import ABOUT_JOBS
from tests.e2e.conftest import Deployed, run_command_both
from tests.support.sweeps import sweep

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("name", sweep(sorted(ABOUT_JOBS), sample=2))
def test_unknown_job_is_one_sentence(stack: Deployed, name: str) -> None:
    said = run_command_both(stack.local.state, "event", name, "--job", "absent-1", code=1)

    assert said.startswith("There is no job absent-1")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["s3_put", "s3_put_in_sqs"])
def test_unknown_object_is_one_sentence(stack: Deployed, name: str) -> None:
    said = run_command_both(stack.local.state, "event", name, "--key", "absent.zip", code=1)

    assert said.startswith("There is no object absent.zip")
    assert said.count("\n") == 1
