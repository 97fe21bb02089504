"""A proof sheet, ordered and fetched: only where it is asked for, and whole, with the names that its page links to."""

import asyncio
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

import lora_drop
from lora_drop import Status
from lora_drop.client.download import fetch
from lora_drop.client.stack import Stack
from lora_drop.jobs.ids import result_prefix
from tests.support.builders import make_job
from tests.support.client_fixtures import Api, Run, invoke, job_answer, uploaded

PARENT = make_job(Status.SUCCEEDED, job_id="ada-0000000001")
PREFIX = result_prefix(PARENT.dataset.key, PARENT.job_id)
PICTURES = ("ada-p1", "ada-p2", "ada-p3")
PHOTO = b"\xff\xd8\xff a picture"


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("given", "metadata"),
    [
        ([], {}),
        (["--proof"], {"proof": "true"}),
        (["--no-proof"], {"proof": "false"}),
        (["--proof", "--force"], {"proof": "true", "force": "true"}),
    ],
)
def test_proof_only_when_given(
    run: Run, stack: Stack, tmp_path: Path, given: list[str], metadata: dict[str, str]
) -> None:
    """The pictures of a proof sheet are ordered only where the command or the stack says so."""
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")
    result = run("train", file, "--no-wait", "--no-check", *given)
    [put] = uploaded(stack)
    assert (result.exit_code, put["Metadata"]) == (0, metadata)


@pytest.mark.parametrize("wanted", [True, False, None])
def test_library_orders_a_proof(
    drop: lora_drop.LoraDrop, stack: Stack, phone: Path, *, wanted: bool | None
) -> None:
    drop.train(phone, trigger_phrase="ada", proof=wanted)
    metadata = uploaded(stack)[0]["Metadata"]
    assert metadata.get("proof") == (None if wanted is None else str(wanted).lower())


def test_async_library_orders_a_proof(drop: lora_drop.LoraDrop, stack: Stack, phone: Path) -> None:
    asynchronous = lora_drop.AsyncLoraDrop()
    asynchronous._drop = drop
    asyncio.run(asynchronous.train(phone, trigger_phrase="ada", proof=True))
    assert uploaded(stack)[0]["Metadata"]["proof"] == "true"


def test_form_can_order_a_proof(drop: lora_drop.LoraDrop, api: Api) -> None:
    api.answers = [httpx.Response(200, json={"url": "https://s3.example"})] * 2
    drop._client.create_dataset("ada.zip", proof=False)
    drop._client.create_dataset("ada.zip")
    bodies = [body for _, _, body in api.asked]
    assert (bodies[0]["proof"], "proof" in bodies[1]) == (False, False)


def test_proof_needs_a_stack(monkeypatch: pytest.MonkeyPatch, phone: Path) -> None:
    """With a fal key alone a proof sheet is refused before anything is checked or paid, however it is asked for."""
    said = r"A proof sheet \(--proof\) needs a stack.* Nothing was sent\."
    monkeypatch.setenv("FAL_KEY", "a:b")
    for words in (["--proof"], ["--set", "proof=true"]):
        result = invoke("train", phone, "--direct", "--yes", *words)
        assert result.exit_code == 1
        assert re.search(said, result.stderr)
    wanted: Any = {"proof": True}
    with pytest.raises(lora_drop.CommandError, match=said):
        lora_drop.PortraitTrainer("a:b").submit(phone, **wanted)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    elsewhere = invoke("train", phone, "--proof")
    assert (elsewhere.exit_code, "needs a stack" in elsewhere.stderr) == (1, True)


def stored_at(stack: Stack, key: str, data: bytes) -> dict[str, Any]:
    """A stored file as the API shows it."""
    stack.client("s3").put_object(Bucket="models", Key=key, Body=data)
    name, digest = key.rsplit("/", 1)[-1], hashlib.sha256(data).hexdigest()
    return {"name": name, "bucket": "models", "key": key, "size": len(data), "sha256": digest}


@pytest.fixture
def job(stack: Stack) -> dict[str, Any]:
    """A training with its LoRA, a finished proof sheet, and three pictures of which the second failed."""
    stack.client("s3").create_bucket(Bucket="models")
    notices = {
        "proof/proof.html": f"<a href='1/picture.jpg'>the sheet of {PARENT.job_id}</a>",
        "proof/proof.json": json.dumps({"job_id": PARENT.job_id}),
        "status.json": f"{PARENT.job_id} has succeeded",
    }
    for name, text in notices.items():
        stored_at(stack, PREFIX + name, text.encode())
    return {
        "job_id": PARENT.job_id,
        "status": "SUCCEEDED",
        "files": [stored_at(stack, f"{PREFIX}lora.safetensors", b"lora")],
        "location": f"s3://models/{PREFIX}",
        "proof": {"pictures": list(PICTURES), "done_at": "2026-11-30T00:00:00Z"},
    }


def picture(stack: Stack, job_id: str) -> dict[str, Any]:
    """A picture as the API shows it; the second one failed."""
    number = PICTURES.index(job_id) + 1
    key = f"{PREFIX}proof/{number}/picture.jpg"
    files = [] if number == 2 else [stored_at(stack, key, PHOTO + bytes([number]))]
    return {"job_id": job_id, "files": files}


def names(folder: Path, paths: Sequence[Path]) -> list[str]:
    return [str(path.relative_to(folder)) for path in paths]


def test_pictures_come_with_the_lora(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    """The folder has the names of the bucket, so that the page's links to its pictures hold."""
    paths = fetch(stack, job, tmp_path, lambda job_id: picture(stack, job_id))
    assert names(tmp_path, paths) == [
        "lora.safetensors",
        "proof/1/picture.jpg",
        "proof/3/picture.jpg",
        "proof/proof.html",
        "proof/proof.json",
        "status.json",
    ]
    assert paths[2].read_bytes() == PHOTO + b"\x03"
    again = fetch(stack, job, tmp_path, lambda job_id: picture(stack, job_id))
    assert again == paths
    assert sorted(each for each in tmp_path.rglob("*") if each.is_file()) == sorted(paths)


@pytest.mark.promise("never lose a result")
def test_damaged_picture_is_not_kept(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    """A picture that is not what was stored is reported and not left behind."""

    def damaged(job_id: str) -> dict[str, Any]:
        shown = picture(stack, job_id)
        for file in shown["files"]:
            stack.client("s3").put_object(Bucket="models", Key=file["key"], Body=b"spoilt")
        return shown

    with pytest.raises(lora_drop.CommandError, match="SHA-256"):
        fetch(stack, job, tmp_path, damaged)
    assert not [each for each in (tmp_path / "proof").rglob("*") if each.is_file()]


@pytest.mark.promise("never lose a result")
def test_another_sheet_is_not_overwritten(
    stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    """A proof sheet of another job is never written over by a download."""
    (tmp_path / "proof").mkdir()
    (tmp_path / "proof" / "proof.html").write_text("about eve-2")
    with pytest.raises(lora_drop.CommandError, match="--to"):
        fetch(stack, job, tmp_path, lambda job_id: picture(stack, job_id))
    assert (tmp_path / "proof" / "proof.html").read_text() == "about eve-2"


def test_erased_picture_is_left_out(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    def erased(job_id: str) -> dict[str, Any]:
        raise lora_drop.JobNotFoundError(job_id)

    paths = fetch(stack, job, tmp_path, erased)
    assert [name for name in names(tmp_path, paths) if "picture" in name] == []


@pytest.mark.parametrize("key", ["proof/1/../../../mine", "proof/../mine.jpg", "../proof/1/a.jpg"])
def test_picture_stays_in_its_folder(
    stack: Stack, job: dict[str, Any], tmp_path: Path, key: str
) -> None:
    """A key that is no picture's of this job is not fetched, wherever it would lie."""
    file = {"name": "a.jpg", "bucket": "models", "key": PREFIX + key, "size": 1, "sha256": "0"}
    paths = fetch(stack, job, tmp_path / "new", lambda _: {"files": [file]})
    assert len(paths) == 4
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


@pytest.mark.usefixtures("job")
def test_job_without_a_proof(stack: Stack, job: dict[str, Any], tmp_path: Path) -> None:
    plain = {name: value for name, value in job.items() if name != "proof"}
    paths = fetch(stack, plain, tmp_path, lambda _: pytest.fail("no picture is asked for"))
    assert names(tmp_path, paths) == ["lora.safetensors", "status.json"]


@pytest.mark.usefixtures("job")
def test_command_fetches_the_proof(
    run: Run, api: Api, stack: Stack, job: dict[str, Any], tmp_path: Path
) -> None:
    """The command and the library ask the stack for each picture, and list its file."""
    shown = json.loads(job_answer(status=Status.SUCCEEDED, job_id=PARENT.job_id).content)
    parent = {**shown, "files": job["files"], "proof": job["proof"]}
    pictures = [
        {**shown, "job_id": each, "files": picture(stack, each)["files"]} for each in PICTURES
    ]
    answers = [httpx.Response(200, json=each) for each in (parent, *pictures)]
    api.answers = list(answers)
    result = run("download", PARENT.job_id, "--to", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "a" / "proof" / "1" / "picture.jpg") in result.stdout.splitlines()
    assert [path for _, path, _ in api.asked[1:]] == [f"/jobs/{each}" for each in PICTURES]
