"""The rows of fal's page of the portrait trainer, run through fal_client at the simulator (docs/fal-parity.md)."""

import asyncio
import base64
import io
import json
import logging
import runpy
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_drop import webhooks
from lora_drop.client.async_portrait_trainer import AsyncPortraitTrainer
from lora_drop.client.direct_errors import InsufficientImagesError, InvalidArchiveError
from lora_drop.client.direct_requests import FinishedRequest
from lora_drop.client.errors import CommandError, TrainingFailedError
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.dev.parity import ROWS, ParityError, parity_page
from lora_drop.fal.trainers.table import PORTRAIT
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.simulator.inputs import PortraitInput
from tests.simulator.conftest import Connect, Simulate, dataset
from tests.simulator.fal_calls import Calls, Received, Receiver, data_uri
from tests.support.photos import encoded, picture

ROOT = Path(__file__).parents[2]
CHECKPOINT = "https://v3.fal.media/files/a/lora.safetensors"
# The page's table: an input's type, its default there, another value, and one that it does not take.
INPUTS: Mapping[str, tuple[type, Any, Any, Any]] = {
    "images_data_url": (str, None, None, b"no archive"),
    "trigger_phrase": (str, None, "ada", "two\nlines"),
    "learning_rate": (float, 0.00009, 0.0002, "quick"),
    "steps": (int, 2500, 1500, 1.5),
    "multiresolution_training": (bool, True, False, "yes"),
    "subject_crop": (bool, True, False, "yes"),
    "data_archive_format": (str, None, "zip", None),
    "resume_from_checkpoint": (str, "", CHECKPOINT, None),
    "create_masks": (bool, False, True, "yes"),
}
# What is sent where fal has no default: the ZIP's format was seen, and a phrase is made.
SENT = {"data_archive_format": "zip", "trigger_phrase": "TOK_"}


@pytest.mark.parity("images_data_url", "trigger_phrase", "learning_rate", "steps")
@pytest.mark.parity("multiresolution_training", "subject_crop", "create_masks")
@pytest.mark.parity("data_archive_format", "resume_from_checkpoint")
@pytest.mark.parametrize("name", INPUTS)
def test_input_is_as_on_fals_page(trainer: PortraitTrainer, calls: Calls, name: str) -> None:
    kind, default, other, wrong = INPUTS[name]
    required = name == PORTRAIT.dataset_field
    url = data_uri(dataset())
    if wrong is not None:
        with pytest.raises((CommandError, DatasetRejectedError)):
            trainer.submit(
                *((wrong,) if required else (url,)), **({} if required else {name: wrong})
            )
    trainer.submit(url)
    trainer.submit(url, **{"steps": 1000, **({} if required else {name: other})})
    plain, with_other = (request["arguments"] for request in calls.sim.requests())
    field = PortraitInput.model_fields[name]
    assert field.is_required() == required
    if required:
        assert plain[name] == with_other[name] == url
    else:
        assert isinstance(with_other[name], kind)
        assert with_other[name] == other
        assert field.default == default
        assert str(plain.get(name, default)).startswith(SENT.get(name, str(default)))


@pytest.mark.parity("url", "content_type", "file_name", "file_size", "file_data")
@pytest.mark.parity("diffusers_lora_file", "config_file")
def test_both_files_have_every_field(simulate: Simulate, connect: Connect) -> None:
    calls = simulate(file_data=True)
    result = connect(calls).train(data_uri(dataset()), steps=1000)
    assert result.lora
    assert result.config
    for file, name, kind in (
        (result.lora, "pytorch_lora_weights.safetensors", "application/octet-stream"),
        (result.config, "config.json", "application/json"),
    ):
        content = calls.http.get(file.url).content
        assert (file.file_name, file.content_type, file.file_size) == (name, kind, len(content))
        assert base64.b64decode(file.file_data or "") == content
    assert json.loads(base64.b64decode(result.config.file_data or ""))["steps"] == 1000


@pytest.mark.parity("uploaded URL", "upload_file")
def test_uploaded_file_is_trained_on(trainer: PortraitTrainer, calls: Calls, path: Path) -> None:
    url = trainer.upload(path)
    assert calls.http.get(url).content == path.read_bytes()
    assert trainer.train(url, steps=1000).lora
    [request] = calls.sim.requests()
    assert request["arguments"]["images_data_url"] == url


@pytest.mark.parity("captions", "[trigger]")
def test_captions_arrive_with_their_trigger(trainer: PortraitTrainer, calls: Calls) -> None:
    captions = {f"{number}.txt": f"a photo {number} of [trigger]" for number in range(12)}
    captioned = with_members(dataset(), captions)
    trainer.submit(captioned, trigger_phrase="ada")
    [request] = calls.sim.requests()
    arguments = request["arguments"]
    sent = calls.http.get(arguments["images_data_url"]).content
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert {name: archive.read(name).decode() for name in captions} == captions
    assert arguments["trigger_phrase"] == "ada"


@pytest.mark.parity("at least 10 images", "insufficient images", "invalid format")
def test_known_errors_say_what_is_needed(trainer: PortraitTrainer, calls: Calls) -> None:
    """The two errors that users of fal's trainer know are typed, before anything is paid."""
    with pytest.raises(InsufficientImagesError, match=r"^At least 10 images are needed\.$"):
        trainer.train(dataset(images=9))
    with pytest.raises(InvalidArchiveError, match=r"^The archive must be a ZIP\.$") as refused:
        trainer.train("data:application/zip;base64,R0lGODlh")
    assert refused.value.problems[0].message.startswith("The archive must be a ZIP; this file is")
    assert calls.sim.requests() == []


@pytest.mark.parity("insufficient images", "invalid format", "any other error")
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("archive_file_count_below_minimum", "At least 10 images are needed."),
        ("invalid_archive", "The archive must be a ZIP."),
        ("face_detection_error", "fal finds no face in a photo."),
        ("internal_server_error", "The failure is fal's own."),
    ],
)
def test_fals_own_error_says_what_is_needed(
    trainer: PortraitTrainer, calls: Calls, kind: str, sentence: str
) -> None:
    calls.inject("training_error", type=kind)
    with pytest.raises(TrainingFailedError) as failed:
        trainer.train(data_uri(dataset()), steps=1000)
    assert sentence in str(failed.value)
    assert failed.value.problem.code == f"fal_{kind}"


def blurred(number: int) -> bytes:
    return encoded(picture(256, 256, seed=7), "JPEG", quality=80 + number)


@pytest.mark.parity("20 to 50 images", "high resolution", "different angles", "detailed captions")
def test_advice_is_given_before_paying(trainer: PortraitTrainer) -> None:
    alike = {f"alike-{number}.jpg": blurred(number) for number in range(2)}
    report = trainer.check(with_members(dataset(), alike))
    codes = {warning.code for warning in report.warnings}
    assert {"dataset_few_images", "dataset_no_captions"} <= codes
    assert {"image_low_resolution", "image_near_duplicate"} <= codes


ADVICE: Mapping[str, tuple[str, str]] = {
    "portrait": ("1000 to 2500", "0.0001 to 0.0002"),
    "style": ("2000 to 4000", "0.00005 to 0.0001"),
    "fast": ("500 to 1000", "0.0002 to 0.001"),
    "quality": ("3000 and more", "0.000001 to 0.0001"),
}


@pytest.mark.parity("portraits", "styles", "fast", "quality")
@pytest.mark.parametrize("name", ADVICE)
def test_preset_follows_fals_advice(trainer: PortraitTrainer, calls: Calls, name: str) -> None:
    preset = PORTRAIT.presets[name]
    assert (preset.steps_advised, preset.rate_advised) == ADVICE[name]
    trainer.submit(data_uri(dataset()), preset=name)
    [request] = calls.sim.requests()
    assert preset.values.items() <= request["arguments"].items()
    low, high = preset.steps
    assert low <= request["arguments"]["steps"] <= high


@pytest.mark.usefixtures("trainer")
@pytest.mark.parity("train_avatar", "train_avatar_async", "check_training_status")
@pytest.mark.parity("get_training_result", "upload_training_data")
def test_trainer_class_example(
    calls: Calls, path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Every method of examples/portrait_trainer_class.py does what its name says."""
    module = runpy.run_path(str(ROOT / "examples" / "portrait_trainer_class.py"))
    same = AsyncPortraitTrainer(state=path.parent / "class.sqlite", poll=0.01)
    users = module["FluxPortraitTrainer"](same)
    inputs: dict[str, Any] = {
        "trigger_phrase": "TOK",
        "learning_rate": 0.0002,
        "steps": 1500,
        "multiresolution_training": False,
        "subject_crop": False,
        "create_masks": True,
    }

    async def whole() -> None:
        url = await users.upload_training_data(str(path))
        result = await users.train_avatar(url, **inputs)
        assert result.lora
        assert result.config
        assert result == await users.get_training_result(result.request_id)
        assert isinstance(await users.check_training_status(result.request_id), FinishedRequest)
        later = await users.train_avatar_async(url, f"{receiver.url}/hook", trigger_phrase="ada")
        assert (
            later == json.loads(await asyncio.to_thread(lambda: receiver.next().body))["request_id"]
        )

    with caplog.at_level(logging.INFO):
        asyncio.run(whole())
    assert "FinishedRequest" in caplog.text
    first, second = (request["arguments"] for request in calls.sim.requests())
    assert inputs.items() <= first.items()
    assert (second["steps"], second["learning_rate"]) == (2500, 0.00009)


@pytest.mark.parity("webhook receiver", "key on the server")
def test_fastapi_webhook_example(
    trainer: PortraitTrainer,
    calls: Calls,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """examples/fastapi_webhook.py answers fal's own deliveries as fal's retries want it."""
    monkeypatch.setenv("FAL_USER_ID", calls.sim.access.user_id)
    monkeypatch.setenv("FAL_JWKS_URL", f"{calls.sim.base_url}/.well-known/jwks.json")
    webhooks._fal_keys.cache_clear()
    request_id = trainer.submit(data_uri(dataset()), webhook_url=f"{receiver.url}/hook")
    failing = calls.inject("training_error", type="image_load_error") and trainer.submit(
        data_uri(dataset(seed=3)), webhook_url=f"{receiver.url}/hook"
    )
    deliveries = [receiver.next() for _ in range(2)]
    module = runpy.run_path(str(ROOT / "examples" / "fastapi_webhook.py"))

    async def deliver(*received: Received) -> list[int]:
        wire = httpx.ASGITransport(module["app"])
        async with httpx.AsyncClient(transport=wire, base_url="https://app.example") as client:
            answers = [
                await client.post("/webhooks/fal", content=each.body, headers=dict(each.headers))
                for each in received
            ]
        return [answer.status_code for answer in answers]

    forged = replace(deliveries[0], body=deliveries[0].body.replace(b"OK", b"ok"))
    # fal may deliver twice
    assert asyncio.run(deliver(*deliveries, deliveries[0], forged)) == [200, 200, 200, 401]
    webhooks._fal_keys.cache_clear()
    monkeypatch.setenv("FAL_JWKS_URL", "https://127.0.0.1:9/none.json")
    assert asyncio.run(deliver(deliveries[0])) == [503]
    webhooks._fal_keys.cache_clear()
    kept = module["trainings"].deliveries
    assert kept.keys() == {request_id, failing}
    assert isinstance(kept[request_id], webhooks.TrainingResult)
    assert isinstance(kept[failing], webhooks.FailedTraining)


def with_members(data: bytes, members: Mapping[str, str | bytes]) -> bytes:
    """The ZIP with more files in it."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


@pytest.mark.promise("interfaces stay")
def test_every_row_has_its_test(tmp_path: Path) -> None:
    """docs/fal-parity.md has each thing that fal's page of the portrait trainer offers, with the test that runs it."""
    page = parity_page(ROOT)
    assert all(f"| {row} |" in page for rows in ROWS.values() for row in rows)
    (tmp_path / "tests").mkdir()
    file = tmp_path / "tests" / "test_a.py"
    for rows, wrong in (("'no such row'", "which is no row"), ("'submit'", "no test runs")):
        file.write_text(f"@pytest.mark.parity({rows})\ndef test_a(): ...\n")
        with pytest.raises(ParityError, match=wrong):
            parity_page(tmp_path)
