"""What leaves the stack about a job is an allowlist, compared here with literal documents."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.jobs.artifacts import Artifact, LoraFacts, StoredFile, Upload
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.delivery import DatasetDelivery, DeliveryMethod
from lora_drop.jobs.events import ProofSheetReady, StatusChange
from lora_drop.jobs.job import DatasetVersion, Job, Lease, Step
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import TrainingProgress
from lora_drop.jobs.proof import Likeness, PictureLikeness, ProofSheet
from lora_drop.jobs.public_job import PublicJob, public
from lora_drop.jobs.status import Status

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
LORA_ROW = {
    "name": "lora.safetensors",
    "bucket": "models",
    "key": "ada/lora",
    "size": 7,
    "sha256": "ab",
}
LORA = StoredFile.model_validate(LORA_ROW)
JOB = Job(
    job_id="ada-0123456789",
    status=Status.TRAINING,
    version=5,
    dataset=DatasetVersion(bucket="data", key="ada.zip", version_id="v1", etag="e", size=9),
    clean=StoredFile(name="dataset.zip", bucket="models", key="ada/zip", size=8, sha256="cd"),
    delivery=DatasetDelivery(
        way=DeliveryMethod.FAL, sha256="ef", expires_at=AT, url="https://secret.example/photos"
    ),
    reference="order 4711",
    application="fal-ai/flux-lora-portrait-trainer",
    created_at=AT,
    updated_at=AT + timedelta(seconds=3),
    history=(
        Step(status=Status.RECEIVED, at=AT),
        Step(status=Status.TRAINING, at=AT + timedelta(seconds=3), by="arn:aws:iam::1:user/eve"),
    ),
    preset="portrait",
    parameters=TrainingParameters(trigger_phrase="ada", steps=1500),
    parameter_sources={"steps": ParameterSource.PRESET},
    images=12,
    estimated_cost_usd=3.6,
    charge=Charge(month="2026-11", usd=3.6, state=ChargeState.RESERVED),
    past_charges=(Charge(month="2026-10", usd=2.4, state=ChargeState.WASTED),),
    approved=True,
    intents=2,
    refetched=True,
    attempt=2,
    retry_of="ada-1111111111",
    resume_from="ada-2222222222",
    content_digest="digest",
    duplicate_of="ada-3333333333",
    supersedes="ada-4444444444",
    force_retrain=True,
    earlier_requests=("r0",),
    own_requests=("r0",),
    request_id="r1",
    cancel_by="arn:aws:iam::1:user/bob",
    progress=TrainingProgress(
        step=450, steps=1500, percent=30.0, eta_seconds=700.5, at=AT, seconds_per_step=0.7
    ),
    queue_position=2,
    lease=Lease(owner="worker", fence=1, until=AT),
    uploads=(Upload(name="lora.safetensors", upload_id="u", identity="etag", size=7),),
    artifacts=(Artifact(name="lora.safetensors", url="https://secret.example/lora"),),
    files=(LORA,),
    lora=LoraFacts(size=7, tensors=2, dtypes=("BF16",), ranks=(16,), metadata={"format": "pt"}),
    earlier=("ada-5555555555",),
    problems=(Problem(code="cancel_requested", message="fal was asked.", member="ada.jpg"),),
    held_for=("fal_key_refused",),
    proof=ProofSheet(
        pictures=("ada-5555555555", "ada-6666666666"),
        done_at=AT + timedelta(seconds=2),
        paid_usd=0.07,
        likeness=Likeness(
            likeness=0.72,
            among_photos=0.84,
            pictures=(
                PictureLikeness(number=1, likeness=0.72, copy_of="ada.jpg"),
                PictureLikeness(number=2),
            ),
            advice="Picture 1 is nearly the same as the photo ada.jpg.",
        ),
    ),
)
STEPS: list[dict[str, Any]] = [
    {"status": "RECEIVED", "at": "2026-11-24T12:00:00Z", "by": None},
    {"status": "TRAINING", "at": "2026-11-24T12:00:03Z", "by": "arn:aws:iam::1:user/eve"},
]
PUBLISHED: dict[str, Any] = {
    "job_id": "ada-0123456789",
    "status": "TRAINING",
    "version": 5,
    "dataset": {"bucket": "data", "key": "ada.zip", "version_id": "v1", "etag": "e", "size": 9},
    "clean": {**LORA_ROW, "name": "dataset.zip", "key": "ada/zip", "size": 8, "sha256": "cd"},
    "delivery": {"way": "fal", "expires_at": "2026-11-24T12:00:00Z"},
    "reference": "order 4711",
    "application": "fal-ai/flux-lora-portrait-trainer",
    "created_at": "2026-11-24T12:00:00Z",
    "updated_at": "2026-11-24T12:00:03Z",
    "history": STEPS,
    "preset": "portrait",
    "parameters": {
        "trainer": "fal-ai/flux-lora-portrait-trainer",
        "trigger_phrase": "ada",
        "steps": 1500,
    },
    "parameter_sources": {"steps": "preset"},
    "images": 12,
    "estimated_cost_usd": 3.6,
    "charge": {"month": "2026-11", "usd": 3.6, "state": "reserved"},
    "past_charges": [{"month": "2026-10", "usd": 2.4, "state": "wasted"}],
    "approved": True,
    "intents": 2,
    "refetched": True,
    "attempt": 2,
    "retry_of": "ada-1111111111",
    "resume_from": "ada-2222222222",
    "content_digest": "digest",
    "duplicate_of": "ada-3333333333",
    "supersedes": "ada-4444444444",
    "force_retrain": True,
    "earlier_requests": ["r0"],
    "own_requests": ["r0"],
    "request_id": "r1",
    "cancel_by": "arn:aws:iam::1:user/bob",
    "progress": {
        "step": 450,
        "steps": 1500,
        "percent": 30.0,
        "eta_seconds": 700.5,
        "at": "2026-11-24T12:00:00Z",
    },
    "queue_position": 2,
    "files": [LORA_ROW],
    "lora": {
        "size": 7,
        "tensors": 2,
        "dtypes": ["BF16"],
        "ranks": [16],
        "metadata": {"format": "pt"},
    },
    "earlier": ["ada-5555555555"],
    "problems": [
        {
            "code": "cancel_requested",
            "message": "fal was asked.",
            "member": "ada.jpg",
            "retryable": None,
        }
    ],
    "proof": {
        "pictures": ["ada-5555555555", "ada-6666666666"],
        "note": "",
        "done_at": "2026-11-24T12:00:02Z",
        "paid_usd": 0.07,
        "likeness": {
            "likeness": 0.72,
            "among_photos": 0.84,
            "pictures": [
                {"number": 1, "likeness": 0.72, "copy_of": "ada.jpg"},
                {"number": 2, "likeness": None, "copy_of": None},
            ],
            "advice": "Picture 1 is nearly the same as the photo ada.jpg.",
        },
    },
}
# Fields of a job that no person and no program outside the stack gets to see.
PRIVATE = {"lease", "uploads", "artifacts", "held_for", "slot_released", "notify_url", "fetch"} | {
    "picture",
    "error_file",
}
# The strings of an event, and why none of them can hold what a person wrote or a person's name.
EVENT_STRINGS = {
    "job_id": "a slug of the ZIP's name, which docs/privacy.md says events carry",
    "application": "fal's name of the trainer, one of a fixed list",
    "bucket": "the models bucket of the stack",
}


@pytest.mark.promise(
    "interfaces stay",
    "Leases and uploads of a job are private; its money, attempts and relations are public.",
)
@pytest.mark.promise("interfaces stay")
def test_public_job_is_exactly_this() -> None:
    """The API and status.json show exactly the listed fields of a job."""
    assert public(JOB) == PUBLISHED


def test_public_job_fits_its_schema(root: Path) -> None:
    schema = json.loads((root / "docs" / "job.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(PUBLISHED)) == []


@pytest.mark.promise("nothing leaks")
def test_new_job_field_is_private() -> None:
    """A field of a job is private until it is listed as public."""
    assert set(Job.model_fields) - set(PublicJob.model_fields) == PRIVATE
    assert "secret.example" not in str(public(JOB))


@pytest.mark.promise("interfaces stay")
def test_event_is_exactly_this() -> None:
    """An event on EventBridge holds exactly the listed fields."""
    change = StatusChange.of(JOB, bucket="models").model_dump(mode="json")

    assert change == {
        "schema_version": 1,
        "job_id": "ada-0123456789",
        "version": 5,
        "status": "TRAINING",
        "since": "2026-11-24T12:00:03Z",
        "ended": False,
        "again": False,
        "needs_person": False,
        "problems": ["cancel_requested"],
        "history": [{"status": step["status"], "at": step["at"]} for step in STEPS],
        "application": "fal-ai/flux-lora-portrait-trainer",
        "bucket": "models",
    }


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("event", [StatusChange, ProofSheetReady])
def test_event_strings_have_reasons(event: type[StatusChange | ProofSheetReady]) -> None:
    """A field of free text cannot enter an event unnoticed."""
    properties = event.model_json_schema()["properties"]
    free = {name for name, field in properties.items() if field.get("type") == "string"}
    assert {name for name in free if "format" not in properties[name]} == set(EVENT_STRINGS)
    codes = properties.get("problems", {"items": {"type": "string"}})
    assert codes["items"] == {"type": "string"}  # from codes_of


OLD_ROW = {
    "job_id": "ada-0123456789",
    "status": "SUCCEEDED",
    "version": 9,
    "dataset": {"bucket": "data", "key": "ada.zip", "version_id": "v1", "etag": "e", "size": 9},
    "application": "fal-ai/flux-lora-portrait-trainer",
    "created_at": "2026-11-20T12:00:00Z",
    "updated_at": "2026-11-20T12:40:00Z",
    "history": [{"status": "RECEIVED", "at": "2026-11-20T12:00:00Z", "by": None}],
    "attempt": 1,
    "instead_of": "bob-1111111111",
    "anew": True,
    "request_id": "r1",
    "delivery": {"way": "presigned", "sha256": "ab", "expires_at": None, "url": None},
    "files": [LORA_ROW],
}


@pytest.mark.promise("interfaces stay")
def test_rows_of_earlier_version_are_read() -> None:
    """Rows that version 0.1 wrote are read with all they say."""
    job = Job.model_validate(OLD_ROW)
    assert (job.supersedes, job.force_retrain) == ("bob-1111111111", True)
    assert job.files == (LORA,)
    assert "instead_of" not in job.model_dump()
