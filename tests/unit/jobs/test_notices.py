import json
from datetime import timedelta

import pytest

from lora_drop.jobs.artifacts import StoredFile, Upload
from lora_drop.jobs.job import Lease
from lora_drop.jobs.job_files import error_text, job_text, status_text
from lora_drop.jobs.job_problems import over_limit
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_job


@pytest.mark.parametrize("status", [status for status in Status if status.troubling])
def test_every_trouble_is_told_with_its_job_its_reasons_and_their_codes(status: Status) -> None:
    problems = (
        Problem(code="image_invalid_format", message="a.jpg is not a JPEG."),
        Problem(code="dataset_insufficient_images", message="Add photos."),
    )
    job = make_job(status, problems=problems)

    text = error_text(job)

    assert text.splitlines()[0]
    assert text.endswith("(dataset_insufficient_images)\n")
    assert {"portrait/ada.zip", job.job_id} <= set(text.split())
    for problem in problems:
        assert f"- {problem.message}\n  ({problem.code})\n" in text


def test_what_a_person_is_to_run_names_the_job() -> None:
    job = make_job(Status.HELD, problems=(over_limit(30.0, 25.0),))

    assert f"lora-drop approve {job.job_id}, or drop" in error_text(job)


@pytest.mark.parametrize("status", Status)
def test_the_state_is_the_whole_public_job(status: Status) -> None:
    job = make_job(status)

    told = json.loads(status_text(job))

    assert told == public(job)
    assert (told["status"], told["job_id"]) == (status, job.job_id)


def test_addresses_at_fal_are_not_public() -> None:
    job = make_job(Status.STORING)

    assert job.artifacts
    assert "fal.media" not in status_text(job)
    assert "fal.media" not in job_text(job)


def test_the_story_says_what_the_lora_was_made_from_how_and_how_long() -> None:
    files = (StoredFile(name="lora.safetensors", bucket="models", key="k", size=7, sha256="ab"),)
    job = make_job(Status.STORING, files=files)
    job = job.model_copy(
        update={
            "history": tuple(
                step.model_copy(update={"at": NOW + timedelta(seconds=10 * number)})
                for number, step in enumerate(job.history)
            )
        }
    )

    story = json.loads(job_text(job))

    assert story["application"] == APPLICATION
    assert story["request_id"] == REQUEST_ID
    assert story["parameters"]["trigger_phrase"] == "TOK_12345678"
    assert story["files"] == [
        {"name": "lora.safetensors", "bucket": "models", "key": "k", "size": 7, "sha256": "ab"}
    ]
    assert story["timings"] == {
        "received_at": "2026-11-24T12:00:00+00:00",
        "submitted_at": "2026-11-24T12:00:30+00:00",
        "trained_at": "2026-11-24T12:00:40+00:00",
        "seconds_to_submit": 30.0,
        "seconds_to_train": 10.0,
    }


def test_a_story_that_has_not_got_far_is_still_told() -> None:
    story = json.loads(job_text(make_job()))

    assert (story["parameters"], story["timings"]["submitted_at"]) == (None, None)


def test_who_copies_and_how_far_is_nobodys_business_and_money_is_everybodys() -> None:
    lease = Lease(owner="0123456789abcdef", fence=1, until=NOW)
    upload = Upload(name="lora.safetensors", upload_id="upload-1", identity="e", size=9)

    told = public(make_job(Status.STORING, lease=lease, uploads=(upload,)))

    assert not {"lease", "uploads", "artifacts"} & told.keys()
    assert told["charge"] == {"month": "2026-11", "usd": 6.0, "state": "spent"}
    assert {"past_charges", "approved", "attempt", "retry_of", "duplicate_of"} <= told.keys()


def test_the_story_says_which_job_it_goes_on_from() -> None:
    names = {"duplicate_of": "a", "retry_of": "b", "resume_from": "c"}

    story = json.loads(job_text(make_job(Status.SUCCEEDED, **names)))

    assert names.items() <= story.items()
