"""The rows of fal's page of the portrait trainer, run through fal_client at the simulator (docs/fal-parity.md)."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fal_client
import pytest
from fal_client.client import FalClientHTTPError
from PIL import Image

from lora_drop.client.direct_errors import InsufficientImagesError, InvalidArchiveError
from lora_drop.client.errors import CommandError, TrainingFailedError
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.dev.parity import ROWS, ParityError, parity_page
from lora_drop.fal.trainers.table import PORTRAIT
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.simulator.inputs import PortraitInput
from tests.simulator.conftest import Connect, PointFalClient, Simulate, dataset
from tests.simulator.fal_calls import Calls, data_uri
from tests.support.builders import APPLICATION
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
def test_input_is_as_on_fals_page(
    trainer: PortraitTrainer, fal: fal_client.SyncClient, calls: Calls, name: str
) -> None:
    """What fal_client sends by itself arrives from lora-drop as well, and what fal refuses is not sent."""
    kind, default, other, wrong = INPUTS[name]
    required = name == PORTRAIT.dataset_field
    url = data_uri(dataset())
    if wrong is not None:
        with pytest.raises((CommandError, DatasetRejectedError)):
            trainer.submit(
                *((wrong,) if required else (url,)), **({} if required else {name: wrong})
            )
    given = {"steps": 1000, **({} if required else {name: other})}
    trainer.submit(url)
    trainer.submit(url, **given)
    fal.submit(APPLICATION, {"images_data_url": url, **given})
    plain, with_other, by_fal_client = (request["arguments"] for request in calls.sim.requests())
    assert by_fal_client.items() <= with_other.items()
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
def test_both_files_have_every_field(
    simulate: Simulate, connect: Connect, point_fal_client: PointFalClient
) -> None:
    calls = simulate(file_data=True)
    result = connect(calls).train(data_uri(dataset()), steps=1000)
    by_fal_client = point_fal_client(calls.sim).result(APPLICATION, result.request_id)
    assert {file.output: asdict(file) for file in result.files} == {
        output: {"output": output, **file} for output, file in by_fal_client.items()
    }
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
def test_uploaded_file_is_trained_on(
    trainer: PortraitTrainer, fal: fal_client.SyncClient, calls: Calls, path: Path
) -> None:
    ours, fals = trainer.upload(path), fal.upload_file(path)
    assert calls.http.get(ours).content == calls.http.get(fals).content == path.read_bytes()
    assert trainer.train(fals, steps=1000).lora
    assert fal.subscribe(APPLICATION, {"images_data_url": ours})
    sent = [request["arguments"]["images_data_url"] for request in calls.sim.requests()]
    assert sent == [fals, ours]


@pytest.mark.parity("captions", "[trigger]")
def test_captions_arrive_with_their_trigger(
    trainer: PortraitTrainer, fal: fal_client.SyncClient, calls: Calls
) -> None:
    captions = {f"{number}.txt": f"a photo {number} of [trigger]" for number in range(12)}
    captioned = with_members(dataset(), captions)
    trainer.submit(captioned, trigger_phrase="ada")
    url = fal.upload(captioned, "application/zip")
    fal.submit(APPLICATION, {"images_data_url": url, "trigger_phrase": "ada"})
    for arguments in (request["arguments"] for request in calls.sim.requests()):
        sent = calls.http.get(arguments["images_data_url"]).content
        with zipfile.ZipFile(io.BytesIO(sent)) as archive:
            assert {name: archive.read(name).decode() for name in captions} == captions
        assert arguments["trigger_phrase"] == "ada"


@pytest.mark.parity("at least 10 images", "insufficient images", "invalid format")
def test_known_errors_say_what_is_needed(
    trainer: PortraitTrainer, fal: fal_client.SyncClient, calls: Calls
) -> None:
    """The two errors that users of fal's trainer know are typed, before anything is paid."""
    no_zip = "data:application/zip;base64,R0lGODlh"
    with pytest.raises(InsufficientImagesError, match=r"^At least 10 images are needed\.$"):
        trainer.train(dataset(images=9))
    with pytest.raises(InvalidArchiveError, match=r"^The archive must be a ZIP\.$") as refused:
        trainer.train(no_zip)
    assert refused.value.problems[0].message.startswith("The archive must be a ZIP; this file is")
    assert calls.sim.requests() == []
    for url, kind in (
        (data_uri(dataset(images=9)), "archive_file_count_below_minimum"),
        (no_zip, "invalid_archive"),
    ):
        assert fals_error(fal, url) == kind


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
    trainer: PortraitTrainer, fal: fal_client.SyncClient, calls: Calls, kind: str, sentence: str
) -> None:
    calls.inject("training_error", type=kind, times=2)
    assert fals_error(fal, data_uri(dataset())) == kind
    with pytest.raises(TrainingFailedError) as failed:
        trainer.train(data_uri(dataset()), steps=1000)
    assert sentence in str(failed.value)
    assert failed.value.problem.code == f"fal_{kind}"


def fals_error(fal: fal_client.SyncClient, url: str) -> str:
    """The type of the error that fal_client raises for a training on this dataset."""
    with pytest.raises(FalClientHTTPError) as raised:
        fal.subscribe(APPLICATION, {"images_data_url": url})
    [detail] = raised.value.response.json()["detail"]
    return str(detail["type"])


def blurred(number: int) -> bytes:
    return encoded(picture(256, 256, seed=7), "JPEG", quality=80 + number)


@pytest.mark.parity("20 to 50 images", "high resolution", "different angles", "detailed captions")
def test_advice_is_given_before_paying(trainer: PortraitTrainer, calls: Calls) -> None:
    """Photos against fal's advice are trained on, after a warning for each."""
    alike = {f"alike-{number}.jpg": blurred(number) for number in range(2)}
    dark = {"dark.jpg": encoded(Image.new("RGB", (1024, 1024), (3, 3, 3)), "JPEG")}
    photos = with_members(dataset(), alike | dark)
    codes = {warning.code for warning in trainer.check(photos).warnings}
    assert {"dataset_few_images", "dataset_no_captions"} <= codes
    assert {"image_low_resolution", "image_near_duplicate", "image_very_dark"} <= codes
    assert calls.sim.requests() == []
    assert trainer.train(photos).lora


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
    every = ", ".join(repr(row) for rows in ROWS.values() for row in rows)
    for folder, rows, wrong in (
        ("tests/simulator", "'no such row'", "which is no row"),
        ("tests/simulator", "'submit'", "no test runs"),
        ("tests/simulator", every, "no test runs subscribe.* by fal_client"),
        ("tests/client", every, "does not run against the simulator"),
    ):
        file = tmp_path / folder / "test_a.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"@pytest.mark.parity({rows})\ndef test_a(calls): ...\n")
        with pytest.raises(ParityError, match=wrong):
            parity_page(tmp_path)
