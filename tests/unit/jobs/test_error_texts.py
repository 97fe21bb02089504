"""An error's own text may get into a log, so it says no more than a code."""

import pytest

from lora_drop.jobs.errors import (
    DatasetRejectedError,
    LoraDropError,
    ResultUnusableError,
    SubmissionRefusedError,
)
from lora_drop.jobs.problems import Problem

PROBLEM = Problem(code="image_damaged", message="zoe.jpg ends in the middle.", member="zoe.jpg")


@pytest.mark.parametrize(
    "error",
    [
        DatasetRejectedError([PROBLEM, PROBLEM]),
        SubmissionRefusedError(PROBLEM),
        ResultUnusableError(PROBLEM),
    ],
)
def test_an_error_about_somebodys_files_is_told_by_its_code(error: LoraDropError) -> None:
    assert str(error) == "image_damaged"
    assert "zoe" not in repr(error)
