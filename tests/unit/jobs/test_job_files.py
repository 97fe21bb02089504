"""What a job writes for people and programs: its result files, its error text, its state."""

import json
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.jobs import artifacts
from lora_drop.jobs.job_files import error_text, job_text, status_text
from lora_drop.jobs.job_problems import over_limit
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_job

URL = "https://v3.fal.media/files/a/b"


def names_in(payload: dict[str, Any]) -> list[str]:
    return [artifact.name for artifact in artifacts.artifacts_in(payload)]


@pytest.mark.promise("interfaces stay")
def test_the_trainers_files_have_fixed_names() -> None:
    """The trainer's LoRA and configuration are always called lora.safetensors and config.json."""
    payload = {
        "diffusers_lora_file": {
            "url": URL,
            "content_type": "application/octet-stream",
            "file_name": "pytorch_lora_weights.safetensors",
            "file_size": 89745224,
        },
        "config_file": {"url": URL},
    }

    assert artifacts.artifacts_in(payload) == (
        artifacts.Artifact(
            name="lora.safetensors", url=URL, content_type="application/octet-stream", size=89745224
        ),
        artifacts.Artifact(name="config.json", url=URL),
    )


UNKNOWN = ("debug.zip", "a.png", "x.bin", "x.ckpt", "x.pt", "x.pkl", "x.safetensors.exe", "x")
NO_FILES: list[dict[str, Any]] = [
    *({}, {"seed": 17454220438242315174}, {"text": URL}, {"file": {"url": 7}}),
    *({"file": {"link": URL}}, {"file": None}, {"files": [None, 7, "x", []]}),
]
LORA: dict[str, Any] = {"lora_file": {"url": URL, "file_name": "x.safetensors"}}
LIST = {"url": URL, "file_name": "a.json"}
NAMED: list[tuple[dict[str, Any], list[str]]] = [
    (LORA, ["lora.safetensors"]),
    ({"diffusers_lora_file": {"url": URL}, **LORA}, ["lora.safetensors", "x.safetensors"]),
    ({"more": {"url": URL, "file_name": "more.json"}}, ["more.json"]),
    ({"more": {"url": URL, "content_type": "application/json"}}, ["more"]),
    ({"files": [LIST, LIST]}, ["a.json", "2-a.json"]),
    # What cannot be inspected is left out.
    *(({"debug": {"url": URL, "file_name": name}}, []) for name in UNKNOWN),
    *(
        ({"debug": {"url": URL, "file_name": name}, **LORA}, ["lora.safetensors"])
        for name in UNKNOWN
    ),
    # An address longer than any is none.
    ({"lora_file": {"url": URL.ljust(artifacts.MAX_URL, "x")}}, ["lora.safetensors"]),
    ({"lora_file": {"url": URL.ljust(artifacts.MAX_URL + 1, "x")}}, []),
    *((payload, []) for payload in NO_FILES),
]


@pytest.mark.parametrize(("payload", "names"), NAMED)
def test_files_are_found_and_named(payload: dict[str, Any], names: list[str]) -> None:
    assert names_in(payload) == names


@pytest.mark.promise("never lose a result")
def test_too_many_files_keep_the_loras() -> None:
    """A result with more files than any has keeps the trainer's own."""
    many = [{"url": URL, "file_name": f"{n}.json"} for n in range(10_000)]
    names = names_in({"a": many, "config_file": {"url": URL}, "lora_file": {"url": URL}})
    assert len(names) == artifacts.MAX_FILES
    assert names[:2] == ["config.json", "lora.safetensors"]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("name", sorted(artifacts.RESERVED_NAMES))
def test_no_output_takes_a_reserved_name(name: str) -> None:
    """No output of a training takes the name of a file that the job writes itself."""
    file = {"url": URL, "file_name": name, "content_type": "application/json"}
    assert names_in({"debug": file}) == [f"2-{name}"]


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        *(("../../etc/passwd", "passwd"), ("a/b/c.txt", "c.txt"), ("..", "file"), ("/", "file")),
        *(("C:\\Windows\\x.txt", "x.txt"), (".hidden", "hidden"), ("-rf", "rf")),
        *(("a\x00b\nc.txt", "a-b-c.txt"), ("\u5199\u771f.zip", "zip"), ("\u5199\u771f", "file")),
        *(
            ("a b.txt", "a-b.txt"),
            ("x" * 500 + ".txt", "x" * (artifacts.MAX_FILE_NAME - 4) + ".txt"),
        ),
    ],
)
def test_a_foreign_name_is_no_path(offered: str, kept: str) -> None:
    """A file name from outside never becomes a path."""
    file = {"url": URL, "file_name": offered, "content_type": "application/json"}
    assert names_in({"debug": file}) == [kept]


@pytest.mark.parametrize(
    "strange",
    [
        *({"file_size": size} for size in (None, -1, "9", 1.5, [9], True, 10**4000)),
        *({"content_type": kind} for kind in (None, 7, ["text/html"])),
    ],
    ids=range(10),
)
def test_strange_facts_are_not_believed(strange: dict[str, object]) -> None:
    found = artifacts.artifacts_in({"lora_file": {"url": URL, **strange}})
    assert found == (artifacts.Artifact(name="lora.safetensors", url=URL),)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("status", [status for status in Status if status.troubling])
def test_an_error_text_names_its_reasons(status: Status) -> None:
    """The error text of a job names the job, each reason and each code."""
    problems = (
        Problem(code="image_invalid_format", message="a.jpg is not a JPEG."),
        Problem(code="dataset_insufficient_images", message="Add photos."),
    )
    job = make_job(status, problems=problems)
    text = error_text(job)

    assert text.splitlines()[0]
    retried = status in (Status.FAILED, Status.EXPIRED)
    assert text.endswith(
        f"lora-drop retry {job.job_id}\n" if retried else "(dataset_insufficient_images)\n"
    )
    assert {"portrait/ada.zip", job.job_id} <= set(text.split())
    for problem in problems:
        assert f"- {problem.message}\n  ({problem.code})\n" in text


def test_a_command_names_the_job() -> None:
    job = make_job(Status.HELD, problems=(over_limit(30.0, 25.0),))
    assert f"lora-drop approve {job.job_id}, or drop" in error_text(job)


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("status", Status)
def test_the_state_is_the_public_job(status: Status) -> None:
    """The state file of a job is the whole public job."""
    job = make_job(status)
    public_job = json.loads(status_text(job))
    assert public_job == public(job)
    assert (public_job["status"], public_job["job_id"]) == (status, job.job_id)


@pytest.mark.promise("nothing leaks")
def test_addresses_at_fal_stay_private() -> None:
    """Addresses of files at fal stand in no file of a job."""
    job = make_job(Status.STORING)
    assert job.artifacts
    assert "fal.media" not in status_text(job)
    assert "fal.media" not in job_text(job)


@pytest.mark.promise("it can be operated")
def test_the_story_of_a_lora() -> None:
    """A job's file says what the LoRA was made from, how, and how long it took."""
    files = (
        artifacts.StoredFile(
            name="lora.safetensors", bucket="models", key="k", size=7, sha256="ab"
        ),
    )
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


def test_the_story_of_a_new_job() -> None:
    """A job that has just begun has its file as well, which says what it goes on from."""
    names = {"duplicate_of": "a", "retry_of": "b", "resume_from": "c"}
    story = json.loads(job_text(make_job(Status.RECEIVED, **names)))
    assert (story["parameters"], story["timings"]["submitted_at"]) == (None, None)
    assert names.items() <= story.items()
