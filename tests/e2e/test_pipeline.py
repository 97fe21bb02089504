"""A ZIP in, a LoRA out: the real template, deployed; nothing is stubbed."""

import hashlib
import json
import re
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lora_drop.local.stack import SAMPLE
from lora_drop.messages import s3_notice_for
from tests.e2e.conftest import Deployed, run_command_both
from tests.support.bucket import expiring_tag
from tests.support.builders import make_dataset
from tests.support.phone import PHOTOS, phone_dataset
from tests.support.photos import PLACE

pytestmark = pytest.mark.stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos and captions as a person has them."""
    target = tmp_path / "ada lovelace"
    with zipfile.ZipFile(SAMPLE) as archive:
        archive.extractall(target)
    (target / "training.json").unlink()
    (target / ".DS_Store").write_bytes(b"junk")
    return target


@pytest.mark.promise("never lose a result")
def test_folder_becomes_a_lora(stack: Deployed, folder: Path) -> None:
    """A folder of photos becomes a LoRA, byte for byte what fal served."""
    job = stack.train(folder, "--preset", "fast", "--trigger", "ada", "--steps", "1200")

    assert job["status"] == "SUCCEEDED"
    assert job["location"].endswith(f"/ada lovelace/{job['job_id']}/")
    files = stack.files_of(job)
    [delivery] = [name for name in files if name.startswith("deliveries/")]
    assert set(files) - {delivery} == {
        *("config.json", "job.json", "lora.safetensors", "status.json"),
        *("report.html", "report.json"),
    }
    served: Counter[str] = Counter()
    for row in stack.simulator.ledger()["served"]:
        served[row["file_sha256"]] += row["bytes"]
    story = json.loads(files["job.json"])
    for stored in story["files"]:
        assert hashlib.sha256(files[stored["name"]]).hexdigest() == stored["sha256"]
        assert served[stored["sha256"]] == stored["size"] == len(files[stored["name"]])
    assert {stored["name"] for stored in story["files"]} == {"config.json", "lora.safetensors"}
    assert json.loads(files["status.json"])["status"] == "SUCCEEDED"
    assert {name for name in files if expires(stack, job, name)} == {"report.html"}


@pytest.mark.promise("it can be operated")
def test_retrained_dataset_has_a_history(stack: Deployed, folder: Path) -> None:
    """A dataset that is trained again has a history, and its newest LoRA is named beside the jobs' folders."""
    key = ("--key", "history/ada.zip")
    first = stack.train(folder, "--steps", "1000", *key)
    (folder / "extra.jpg").write_bytes(next(folder.glob("*.jpg")).read_bytes() + b"\x00")
    second = stack.train(folder, "--steps", "1200", *key)
    rows = [json.loads(line) for line in stack.run("history", "history/ada", "--json").splitlines()]
    assert [row["job_id"] for row in rows] == [second["job_id"], first["job_id"]]
    assert rows[0]["changes"]["parameters"]["steps"] == {"before": 1000, "after": 1200}
    assert rows[0]["changes"]["photos"] == {
        "added": ["extra.jpg"],
        "removed": [],
        "captions": [],
    }
    assert (rows[0]["ranks"], second["earlier"]) == ([16], [first["job_id"]])
    compared = json.loads(stack.run("compare", first["job_id"], second["job_id"], "--json"))
    assert compared["photos"] == rows[0]["changes"]["photos"]
    bucket = stack.access["outputs"]["ModelsBucketName"]
    latest = stack.client("s3").get_object(Bucket=bucket, Key="history/ada/latest.json")["Body"]
    named = json.load(latest)
    assert [named["job_id"], *(each["job_id"] for each in named["earlier"])] == [
        second["job_id"],
        first["job_id"],
    ]
    stack.run("forget", second["job_id"], "--family", "--yes", "--no-wait")
    listed = stack.client("s3").list_object_versions(Bucket=bucket, Prefix="history/ada/")
    assert "Versions" not in listed


def expires(stack: Deployed, job: dict[str, Any], name: str) -> bool:
    """Whether the bucket's rule would let a file of the job expire; the emulator deploys no rules."""
    bucket, _, prefix = job["location"].removeprefix("s3://").partition("/")
    tags = stack.client("s3").get_object_tagging(Bucket=bucket, Key=prefix + name)
    return expiring_tag() in tags["TagSet"]


def test_fal_gets_parameters_and_archive(stack: Deployed, folder: Path) -> None:
    job = stack.train(folder, "--key", "style/photos.zip", "--steps", "2100")

    [post] = stack.posts_of(job)
    sent = post["arguments"]
    assert {name: sent[name] for name in sent if name != "images_data_url"} == {
        "trigger_phrase": f"TOK_{job['job_id'][-10:-2]}",
        "learning_rate": 0.00007,  # the preset of the folder it was dropped into
        "steps": 2100,
        "multiresolution_training": True,
        "subject_crop": False,
        "create_masks": False,
        "data_archive_format": "zip",
    }
    [fetched] = [
        row
        for row in stack.simulator.ledger()["datasets"]
        if row["request_id"] == job["request_id"]
    ]
    dropped = stack.client("s3").get_object(
        Bucket=job["dataset"]["bucket"], Key="style/photos.zip"
    )["Body"]
    assert fetched["sha256"] == hashlib.sha256(dropped.read()).hexdigest()
    assert fetched["images"] == job["images"] == 14


def test_phone_dataset_is_cleaned(stack: Deployed, tmp_path: Path) -> None:
    phone = tmp_path / "phone.zip"
    phone.write_bytes(phone_dataset())

    job = stack.train(phone)

    files = stack.files_of(job)
    assert job["status"] == "SUCCEEDED"
    [fetched] = [
        row
        for row in stack.simulator.ledger()["datasets"]
        if row["request_id"] == job["request_id"]
    ]
    assert fetched["sha256"] == hashlib.sha256(files["dataset.zip"]).hexdigest()
    assert fetched["images"] == job["images"] == PHOTOS
    assert PLACE not in files["dataset.zip"]
    assert json.loads(files["report.json"])["mended"]


def bad_archives(folder: Path, target: Path) -> dict[str, tuple[Path, str]]:
    """Each obvious mistake as a file, and the code it is refused with."""
    photos = sorted(folder.glob("*.jpg"))
    nine, named, cut, typo = (target / f"{n}.zip" for n in ("nine", "named", "cut", "typo"))
    with zipfile.ZipFile(nine, "w") as archive:
        for photo in photos[:9]:
            archive.write(photo, photo.name)
    named.write_text("these are not the photos you are looking for\n" * 100)
    whole = SAMPLE.read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with zipfile.ZipFile(typo, "w") as archive:
        for photo in photos:
            archive.write(photo, photo.name)
        archive.writestr("training.json", '{"trigger_word": "ada"}')
    return {
        "nine images": (nine, "dataset_insufficient_images"),
        "text": (named, "archive_invalid_format"),
        "truncated": (cut, "archive_truncated"),
        "unknown parameter": (typo, "parameter_unknown"),
    }


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("mistake", ["nine images", "text", "truncated", "unknown parameter"])
def test_invalid_dataset_is_refused_free(
    stack: Deployed, folder: Path, tmp_path: Path, mistake: str
) -> None:
    """A dataset that cannot train is refused before anything is paid, with what to do."""
    path, code = bad_archives(folder, tmp_path)[mistake]
    before = stack.simulator.ledger()["submissions"]

    job = stack.train(path, "--no-check", code=1)

    assert job["status"] == "REJECTED"
    assert [problem["code"] for problem in job["problems"]] == [code]
    files = stack.files_of(job)
    assert set(files) == {"status.json", "ERROR.txt", "report.html", "report.json"}
    assert job["problems"][0]["message"] in files["ERROR.txt"].decode()
    assert stack.simulator.ledger()["submissions"] == before


@pytest.mark.promise("never pay twice")
def test_repeated_event_is_one_request(stack: Deployed) -> None:
    """The same S3 event five times makes one job and one request to fal."""
    job = stack.train(SAMPLE, "--key", "five/times.zip")
    notice = json.dumps(s3_notice_for(make_dataset().model_validate(job["dataset"])))
    sqs, queue = stack.client("sqs"), stack.access["outputs"]["InboxQueueUrl"]

    # S3's test event is hidden for an hour where the emulator failed to start a function for it.
    before = _messages(stack, queue)

    for _ in range(4):
        sqs.send_message(QueueUrl=queue, MessageBody=notice)
    _wait_until_handled(stack, queue, before)

    listed = stack.listed("--limit", "100")
    assert [each["job_id"] for each in listed if each["dataset"]["key"] == "five/times.zip"] == [
        job["job_id"]
    ]
    assert len(stack.posts_of(job)) == 1
    assert json.loads(stack.run("job", job["job_id"], "--json"))["version"] == job["version"]


def _wait_until_handled(stack: Deployed, queue: str, before: int) -> None:
    end = time.monotonic() + 600
    while _messages(stack, queue) > before:
        assert time.monotonic() < end, "the inbox was not emptied"
        time.sleep(0.2)


def _messages(stack: Deployed, queue: str) -> int:
    """How many messages a queue has, those in a function's hands among them."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    return sum(int(found["Attributes"][name]) for name in names)


@pytest.mark.promise("never get stuck")
def test_lost_webhooks_are_made_good(stack: Deployed) -> None:
    """A job whose webhook was lost is found by asking fal."""
    earlier = _lost_webhooks(stack)
    stack.simulator.inject("webhook_lost", times=2)
    words = ("--key", "lost/one.zip", "--force", "--no-wait")
    first = stack.run("train", str(SAMPLE), *words).strip()

    second = stack.train(SAMPLE, "--key", "lost/two.zip")

    lost = _lost_webhooks(stack) - earlier
    one = json.loads(stack.run("job", first, "--json"))
    assert {one["request_id"], second["request_id"]} == lost
    assert second["status"] == "SUCCEEDED"
    assert one["status"] == "SUCCEEDED"
    assert [len(stack.posts_of(job)) for job in (one, second)] == [1, 1]


def _lost_webhooks(stack: Deployed) -> set[str]:
    rows = stack.simulator.ledger()["webhooks"]
    return {row["request_id"] for row in rows if row["variant"] == "lost"}


@pytest.mark.promise("never pay twice")
def test_lost_answer_is_never_repaid(stack: Deployed) -> None:
    """A request whose answer was lost is found by its webhook and not paid again."""
    stack.simulator.inject("submit_answer_lost")

    job = stack.train(SAMPLE, "--key", "answer/lost.zip")

    states = [step["status"] for step in job["history"]]
    assert job["status"] == "SUCCEEDED"
    assert states[:4] == ["RECEIVED", "READY", "SUBMITTING", "SUBMIT_UNKNOWN"]
    assert len(stack.posts_of(job)) == 1
    assert "ERROR.txt" not in stack.files_of(job)


def test_forged_webhook_changes_nothing(stack: Deployed) -> None:
    stack.simulator.inject("webhook_forged")
    stack.simulator.inject("webhook_foreign_user")

    jobs = [stack.train(SAMPLE, "--key", f"forged/{number}.zip") for number in range(2)]

    rows = stack.simulator.ledger()["webhooks"]
    refused = {row["variant"]: row["status"] for row in rows if row["variant"] != "true"}
    assert [job["status"] for job in jobs] == ["SUCCEEDED", "SUCCEEDED"]
    assert refused["forged"] == refused["foreign_user"] == 401


def test_failed_training_says_why(stack: Deployed) -> None:
    stack.simulator.inject("training_error", type="image_load_error")

    job = stack.train(SAMPLE, "--key", "fails.zip", code=1)

    assert job["status"] == "FAILED"
    assert [problem["code"] for problem in job["problems"]] == ["fal_image_load_error"]
    assert "Open and save it again" in stack.files_of(job)["ERROR.txt"].decode()


def test_jobs_are_listed_in_pages(stack: Deployed) -> None:
    seen, more = list[str](), list[str]()
    while True:
        words = ["jobs", "--json", "--limit", "3", *more]
        both = run_command_both(stack.local.state, *words)
        seen += [json.loads(line)["job_id"] for line in both.splitlines() if line.startswith("{")]
        if not (following := re.search(r"--cursor (\S+)", both)):
            break
        more = ["--cursor", following[1]]

    assert seen == [job["job_id"] for job in stack.listed("--limit", "100")]
    assert len(seen) == len(set(seen)) >= 3


@pytest.mark.promise("never lose a result")
def test_cdn_404_loses_nothing(stack: Deployed) -> None:
    """A result that the CDN once denied is stored all the same."""
    stack.simulator.inject("download_status", status=404, file_name="config.json")

    job = stack.train(SAMPLE, "--key", "cdn/404.zip")

    assert job["status"] == "SUCCEEDED"
    assert {"config.json", "lora.safetensors"} <= set(stack.files_of(job))


def test_held_job_continues_after_approval(stack: Deployed) -> None:
    stack.simulator.inject("balance_exhausted")
    held = stack.train(SAMPLE, "--key", "held.zip", code=1)
    advice = stack.files_of(held)["ERROR.txt"].decode()

    approved = json.loads(stack.run("approve", held["job_id"], "--json"))
    job = _ended(stack, held["job_id"])

    assert (held["status"], approved["status"]) == ("HELD", "READY")
    assert f"lora-drop approve {held['job_id']}" in advice
    assert job["status"] == "SUCCEEDED"
    assert "ERROR.txt" not in stack.files_of(job)
    assert [post["accepted"] for post in stack.posts_of(job)] == [False, True]


def _ended(stack: Deployed, job_id: str) -> dict[str, Any]:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        job: dict[str, Any] = json.loads(stack.run("job", job_id, "--json"))
        if job["status"] in ("SUCCEEDED", "FAILED", "EXPIRED"):
            return job
        time.sleep(0.5)
    raise AssertionError(f"{job_id} did not end")
