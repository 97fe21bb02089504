"""An error's own text may get into a log, so it says no more than a code."""

import pytest

from lora_drop.jobs.errors import LoraDropError, RejectedDataset, ResultUnusable, SubmissionRefused
from lora_drop.jobs.problems import Problem

PROBLEM = Problem(code="image_damaged", message="zoe.jpg ends in the middle.", member="zoe.jpg")


@pytest.mark.parametrize(
    "error",
    [RejectedDataset([PROBLEM, PROBLEM]), SubmissionRefused(PROBLEM), ResultUnusable(PROBLEM)],
)
def test_an_error_about_somebodys_files_is_told_by_its_code(error: LoraDropError) -> None:
    assert str(error) == "image_damaged"
    assert "zoe" not in repr(error)
