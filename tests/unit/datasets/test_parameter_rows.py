"""Parameters as they stand in a job's row: of any trainer, and from before there were several."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from lora_drop.datasets.parameters import resolve
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import APPLICATION, make_job

# What the version before wrote: DynamoDB gives every number as a decimal.
OLD_ROW = {
    "trigger_phrase": "TOK_12345678",
    "learning_rate": Decimal("0.00009"),
    "steps": Decimal(2500),
    "multiresolution_training": True,
    "subject_crop": True,
    "create_masks": False,
    "data_archive_format": "zip",
    "resume_from_checkpoint": "",
}


def test_a_row_from_before_there_were_trainers_is_the_portrait_trainers() -> None:
    parameters = TrainingParameters.model_validate(OLD_ROW)

    assert parameters.arguments("https://x/y") == {
        "images_data_url": "https://x/y",
        "trigger_phrase": "TOK_12345678",
        "learning_rate": 0.00009,
        "steps": 2500,
        "multiresolution_training": True,
        "subject_crop": True,
        "create_masks": False,
        "data_archive_format": "zip",
    }
    assert (parameters.trainer, parameters.steps) == (APPLICATION, 2500)
    assert (type(parameters.values["steps"]), type(parameters.values["learning_rate"])) == (
        int,
        float,
    )


def test_such_a_job_is_read_and_shows_no_empty_checkpoint() -> None:
    row = json.loads(make_job(Status.READY).model_dump_json())

    job = Job.model_validate({**row, "parameters": OLD_ROW, "resume_from": "ada-0123456789"})

    assert job.parameters
    assert "resume_from_checkpoint" not in job.model_dump_json()
    assert job.parameters.steps == 2500


def test_a_row_with_an_address_to_go_on_from_keeps_it() -> None:
    row = {**OLD_ROW, "resume_from_checkpoint": "https://x/y"}

    sent = TrainingParameters.model_validate(row).arguments("https://d")

    assert sent["resume_from_checkpoint"] == "https://x/y"


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_every_trainers_parameters_come_back_as_they_were(trainer: Trainer) -> None:
    values = {field.name: field.default for field in trainer.fields if field.default is not None}
    written = TrainingParameters(trainer=trainer.application, **values, trigger_phrase="1500")
    row = json.loads(written.model_dump_json(), parse_float=Decimal, parse_int=Decimal)

    read = TrainingParameters.model_validate(row)

    assert read == written
    assert json.dumps(read.arguments("u")) == json.dumps(written.arguments("u"))


def test_a_whole_learning_rate_is_a_number_with_a_point_again() -> None:
    row = {"trainer": "fal-ai/flux-2-trainer", "steps": Decimal(1000), "learning_rate": Decimal(1)}

    read = TrainingParameters.model_validate(row)

    assert read.model_dump_json() == (
        '{"trainer":"fal-ai/flux-2-trainer","steps":1000,"learning_rate":1.0}'
    )


def test_what_a_later_version_has_added_is_read_and_kept() -> None:
    row = {**OLD_ROW, "invented_later": "x", "and_this": Decimal("0.5")}

    parameters = TrainingParameters.model_validate(row)

    assert parameters.values["invented_later"] == "x"
    assert parameters.values["and_this"] == 0.5


@pytest.mark.parametrize("row", [[], "steps", {**OLD_ROW, "steps": [1]}, {"trainer": 7}])
def test_what_are_no_parameters_are_not_read(row: Any) -> None:
    with pytest.raises((ValidationError, TypeError)):
        TrainingParameters.model_validate(row)


def test_parameters_cannot_be_changed() -> None:
    values = resolve(key="a.zip", training_json=None, metadata={}, trigger_seed="0" * 10).values

    for name in ("trainer", "steps", "trigger_phrase", "learning_rate"):
        with pytest.raises((ValidationError, AttributeError)):
            setattr(values, name, 1)
    with pytest.raises(TypeError):
        values.values["steps"] = 1  # type: ignore[index]  # that is the point
