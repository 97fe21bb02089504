"""A proof sheet on the deployed stack: ordered, paid once, stored, compared with the photos, and said."""

import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_drop.local.stack import SAMPLE
from tests.e2e.conftest import Deployed
from tests.support.face_photos import FIVE, as_archive, five_photos, stranger

pytestmark = pytest.mark.stack
PATIENCE = 120  # seconds: four pictures, two at a time, and the sheet


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """A folder of the person's own photos."""
    folder = tmp_path / "own"
    with zipfile.ZipFile(SAMPLE) as archive:
        archive.extractall(folder, [each for each in archive.namelist() if each.endswith(".jpg")])
    return folder


def trained(stack: Deployed, pictures: Path, *words: str) -> dict[str, Any]:
    """The job of the sample dataset, once its proof sheet is done; fal's pictures are these."""
    stack.simulator.inject("picture_photos", times=None, folder=str(pictures))
    job_id = stack.train(SAMPLE, "--proof", *words)["job_id"]
    until, job = time.monotonic() + PATIENCE, dict[str, Any]()
    while not job or not job["proof"]["done_at"]:
        assert time.monotonic() < until, job
        job = json.loads(stack.run("job", job_id, "--json"))
    return job


def spent_usd(stack: Deployed) -> float:
    """What the stack has booked as spent, of every month."""
    rows = stack.client("dynamodb").query(
        TableName=stack.access["outputs"]["JobsTableName"],
        KeyConditionExpression="pk = :account",
        ExpressionAttributeValues={":account": {"S": "ACCOUNT"}},
    )["Items"]
    return float(sum(int(row["spent"]["N"]) for row in rows) / 1_000_000)


@pytest.mark.promise("never pay twice")
def test_own_pictures_look_like_the_photos(
    stack: Deployed, portraits: Path, tmp_path: Path
) -> None:
    """A proof sheet costs four POSTs, and says of the person's own pictures that they look like the photos."""
    before = spent_usd(stack)
    job = trained(stack, portraits)

    found = job["proof"]["likeness"]
    assert found["likeness"] > 0.9
    assert found["advice"] == ""
    assert len(job["proof"]["pictures"]) == 4
    for picture_id in job["proof"]["pictures"]:
        [post] = stack.posts_of({"job_id": picture_id})
        assert post["endpoint_id"] == "fal-ai/flux-lora"
    assert job["job_id"] in {each["job_id"] for each in stack.listed()}
    assert not {each["job_id"] for each in stack.listed()} & set(job["proof"]["pictures"])
    assert spent_usd(stack) - before == pytest.approx(job["estimated_cost_usd"] + 4 * 0.035)

    stack.run("download", job["job_id"], "--to", str(tmp_path / "files"))
    sheet = json.loads((tmp_path / "files" / "proof" / "proof.json").read_text())
    assert [each["likeness"] for each in sheet["pictures"]] == [
        each["likeness"] for each in found["pictures"]
    ]
    for number in range(1, 5):
        with Image.open(tmp_path / "files" / "proof" / str(number) / "picture.jpg") as picture:
            assert picture.size == (768, 1024)
    assert (tmp_path / "files" / "proof" / "proof.html").is_file()


def test_strangers_pictures_are_said_to_be_none(stack: Deployed, tmp_path: Path) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    stranger().save(folder / "stranger.jpg", quality=92)

    job = trained(stack, folder, "--steps", "1100")

    assert job["proof"]["likeness"]["likeness"] < 0.35
    assert job["proof"]["likeness"]["advice"]
    said = stack.run("job", job["job_id"])
    assert f"{job['proof']['likeness']['likeness']:.2f} of the" in said
    assert job["proof"]["likeness"]["advice"].split(":", maxsplit=1)[0] in " ".join(said.split())


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_deployed_check_names_five(stack: Deployed, tmp_path: Path) -> None:
    """A stranger, a group, the back of a head, a tiny face and a turned photo are named by the deployed check."""
    path = tmp_path / "five.zip"
    path.write_bytes(as_archive(five_photos()))
    job = stack.train(path)
    report = json.loads(stack.files_of(job)["report.json"])
    named = {
        (each["member"], warning["code"])
        for each in report["photos"]
        for warning in each["warnings"]
        if "_face_" in warning["code"]
    }
    assert named == set(FIVE.items())
    plain = json.loads(stack.files_of(stack.train(SAMPLE))["report.json"])
    assert plain["faces_checked"] is True
    assert [each for each in plain["warnings"] if "_face_" in each["code"]] == []
