"""``fal-ai/flux-lora``, asked by fal_client as it is: real pictures with a real LoRA, paid by the megapixel."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
import pytest
from fal_client.client import FalClientHTTPError
from PIL import Image

from lora_drop.adapters.faces import OnnxFaces
from lora_drop.fal.proof_prompts import PICTURES, picture_orders
from lora_drop.simulator import drawing
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.drawing import drawn
from lora_drop.simulator.image_inputs import FLUX_LORA, SIZES
from tests.simulator.conftest import PointFalClient, Simulate, lora_of
from tests.simulator.fal_calls import Calls, Receiver, until
from tests.support.photos import encoded, exif, picture

PROMPT = "a photo of ada at the sea"
PLAIN: dict[str, Any] = {"prompt": PROMPT, "seed": 7, "image_size": {"width": 96, "height": 128}}
PRICE = 0.035
type Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def lora(standing: Calls) -> str:
    """The address of a LoRA at the simulator that serves the whole module."""
    data, _ = lora_of(1)
    return standing.stored(data, "lora.safetensors")


@pytest.fixture
def ask(standing: Calls, point_fal_client: PointFalClient) -> Ask:
    """Ask that simulator for pictures by fal_client."""
    fal = point_fal_client(standing.sim)

    def asked(**arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = fal.subscribe(FLUX_LORA, {**PLAIN, **arguments})
        return result

    return asked


def bytes_of(calls: Calls, image: dict[str, Any]) -> bytes:
    return calls.http.get(image["url"]).content


def opened(calls: Calls, image: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(bytes_of(calls, image)))


def refused(calls: Calls, **arguments: Any) -> dict[str, Any]:
    """The first detail of a request that fails with 422, and is not billed."""
    request_id = calls.run({**PLAIN, **arguments}, application=FLUX_LORA)
    result = calls.result(request_id, FLUX_LORA)
    assert result.status_code == 422, result.text
    assert result.headers["x-fal-billable-units"] == "0"
    detail: dict[str, Any] = result.json()["detail"][0]
    return detail


def folder_of(folder: Path, *colours: str) -> Path:
    """A folder with a photo of each colour, 400 by 300 pixels, by name."""
    folder.mkdir()
    for colour in colours:
        Image.new("RGB", (400, 300), colour).save(folder / f"{colour}.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


def colour_of(calls: Calls, image: dict[str, Any]) -> tuple[int, ...]:
    """The colour in the middle, as far as JPEG keeps it."""
    shown = opened(calls, image)
    pixel = shown.getpixel((shown.width // 2, shown.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(255 if each > 128 else 0 for each in pixel[:3])


def test_picture_with_a_lora(standing: Calls, ask: Ask, lora: str) -> None:
    result = ask(loras=[{"path": lora, "scale": 1}])
    assert sorted(result) == ["has_nsfw_concepts", "images", "prompt", "seed", "timings"]
    [image] = result["images"]
    assert {**image, "url": ""} == {
        "url": "",
        "width": 96,
        "height": 128,
        "content_type": "image/jpeg",
    }
    assert image["url"].startswith(f"{standing.sim.base_url}/files/")
    assert (result["prompt"], result["seed"]) == (PROMPT, 7)
    assert result["has_nsfw_concepts"] == [False]
    assert result["timings"]["inference"] >= 0
    shown = opened(standing, image)
    assert (shown.format, shown.size, shown.mode) == ("JPEG", (96, 128), "RGB")
    assert len(shown.getcolors(96 * 128) or ()) > 100  # a drawing, not one plain colour
    [row] = [row for row in standing.rows("loras") if row["url"] == lora]
    assert (row["field"], row["sha256"], row["error"]) == ("loras[0].path", lora_of(1)[1], None)


def test_picture_follows_from_its_seed(standing: Calls, ask: Ask) -> None:
    first, again, other = (ask(seed=seed)["images"][0] for seed in (7, 7, 8))
    assert bytes_of(standing, first) == bytes_of(standing, again) != bytes_of(standing, other)
    assert first["url"] != again["url"]


def test_several_pictures_of_one_seed(standing: Calls, ask: Ask) -> None:
    result = ask(num_images=3, output_format="png", seed=None)
    contents = {bytes_of(standing, image) for image in result["images"]}
    assert len(contents) == len(result["has_nsfw_concepts"]) == 3
    assert opened(standing, result["images"][0]).format == "PNG"
    assert result["images"][0]["content_type"] == "image/png"
    assert 0 <= result["seed"] < 2**64


@pytest.mark.parametrize("name", SIZES)
def test_named_size(standing: Calls, ask: Ask, name: str) -> None:
    [image] = ask(image_size=name)["images"]
    assert opened(standing, image).size == (image["width"], image["height"]) == SIZES[name]


def test_sizes_that_are_not_given(ask: Ask, standing: Calls) -> None:
    assert ask(image_size={"width": 64})["images"][0]["height"] == 512
    result = standing.result(standing.run({"prompt": ""}, application=FLUX_LORA), FLUX_LORA).json()
    assert (result["images"][0]["width"], result["images"][0]["height"]) == SIZES["landscape_4_3"]


def test_unknown_keys_of_pictures_are_ignored(ask: Ask) -> None:
    assert ask(webhook_url="https://x", negative_prompt="hats")["images"]


@pytest.mark.parametrize(
    ("arguments", "place", "kind"),
    [
        ({"prompt": 5}, ["prompt"], "string_type"),
        ({"num_inference_steps": 51}, ["num_inference_steps"], "less_than_equal"),
        ({"num_inference_steps": 0}, ["num_inference_steps"], "greater_than_equal"),
        ({"guidance_scale": 35.5}, ["guidance_scale"], "less_than_equal"),
        ({"num_images": 5}, ["num_images"], "less_than_equal"),
        ({"output_format": "webp"}, ["output_format"], "literal_error"),
        ({"image_size": "poster"}, ["image_size", "ImageSize"], "model_type"),
        ({"image_size": {"width": 0}}, ["image_size", "ImageSize", "width"], "greater_than"),
        ({"loras": [{"scale": 1}]}, ["loras", 0, "path"], "value_error.missing"),
        ({"loras": [{"path": "x", "scale": 4.1}]}, ["loras", 0, "scale"], "less_than_equal"),
        ({"seed": "seven"}, ["seed"], "int_parsing"),
    ],
    ids=str,
)
def test_wrong_input_of_a_picture(
    standing: Calls, arguments: dict[str, Any], place: list[str | int], kind: str
) -> None:
    """What fal's page does not allow is refused when the request runs, and not billed."""
    detail = refused(standing, **arguments)
    assert (detail["loc"], detail["type"]) == (["body", *place], kind)


def test_prompt_is_required(standing: Calls) -> None:
    request_id = standing.run({"image_size": "square"}, application=FLUX_LORA)
    detail = standing.result(request_id, FLUX_LORA).json()["detail"]
    assert detail == [
        {"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}
    ]


def test_lora_that_cannot_be_fetched(standing: Calls, receiver: Receiver, lora: str) -> None:
    url = f"{receiver.url}/gone.safetensors"
    detail = refused(standing, loras=[{"path": lora}, {"path": url}])
    assert detail["type"] == "file_download_error"
    assert (detail["loc"], detail["input"]) == (["body", "loras", 1, "path"], url)
    [row] = [row for row in standing.rows("loras") if row["url"] == url]
    assert (row["field"], row["error"]) == ("loras[1].path", "file_download_error")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02\0\0\0\0\0\0\0{}", b"<html>not found</html>", lora_of(1)[0][:-1]],
    ids=["nothing", "no tensor", "a page", "cut"],
)
def test_lora_must_be_safetensors(standing: Calls, data: bytes) -> None:
    detail = refused(standing, loras=[{"path": standing.stored(data, "lora.safetensors")}])
    assert (detail["loc"], detail["type"]) == (["body", "loras", 0, "path"], "value_error")
    assert "safetensors" in detail["msg"]


@pytest.mark.parametrize(
    ("size", "images", "units"),
    [((768, 1024), 1, 1), ((1000, 1000), 1, 1), ((1001, 1000), 1, 2), ((64, 64), 3, 3)],
)
def test_picture_is_billed_by_megapixels(
    calls: Calls, size: tuple[int, int], images: int, units: int
) -> None:
    """Each picture is billed by its size, rounded up; a failure and a cancelled one are not."""
    wanted = {"image_size": {"width": size[0], "height": size[1]}, "num_images": images}
    request_id = calls.run({**PLAIN, **wanted}, application=FLUX_LORA)
    refused(calls, num_images=9)
    header = calls.result(request_id, FLUX_LORA).headers["x-fal-billable-units"]
    [event] = calls.http.get("/v1/models/billing-events").json()["billing_events"]
    assert (header, event["output_units"]) == (str(units), units)
    assert (event["endpoint_id"], event["unit_price"]) == (FLUX_LORA, PRICE)
    assert event["cost_total"] == pytest.approx(units * PRICE)
    assert calls.rows("billed") == [event]
    account = calls.http.get("/v1/account/billing", params={"expand": "credits"}).json()
    assert account["credits"]["current_balance"] == pytest.approx(1000 - units * PRICE)


def test_price_of_a_picture_is_listed(standing: Calls) -> None:
    listed = standing.http.get("/v1/models/pricing", params={"endpoint_id": FLUX_LORA}).json()
    assert listed["prices"] == [
        {
            "endpoint_id": FLUX_LORA,
            "unit_price": PRICE,
            "unit": "megapixels",
            "currency": "USD",
        }
    ]


def test_published_schema_of_pictures(standing: Calls) -> None:
    """The model list has fal's names, ranges and defaults of the endpoint."""
    query = {"endpoint_id": FLUX_LORA, "expand": "openapi-3.0"}
    [row] = standing.http.get("/v1/models", params=query).json()["models"]
    schemas = row["openapi"]["components"]["schemas"]
    inputs = schemas["Input"]["properties"]
    assert row["metadata"]["category"] == "text-to-image"
    assert schemas["Input"]["required"] == ["prompt"]
    assert {
        name: tuple(inputs[name].get(each) for each in ("minimum", "maximum", "default"))
        for name in ("num_inference_steps", "guidance_scale", "num_images")
    } == {
        "num_inference_steps": (1, 50, 28),
        "guidance_scale": (0, 35, 3.5),
        "num_images": (1, 4, 1),
    }
    scale = schemas["LoraWeight"]["properties"]["scale"]
    assert (scale["minimum"], scale["maximum"], scale["default"]) == (0, 4, 1.0)
    assert inputs["output_format"]["enum"] == ["jpeg", "png"]
    assert set(schemas["Output"]["required"]) == set(schemas["Output"]["properties"])


def test_webhook_of_a_picture(calls: Calls, receiver: Receiver) -> None:
    """A picture calls its webhook as a training does, and stands in the history with its output."""
    request_id = calls.run(PLAIN, application=FLUX_LORA, webhook_url=f"{receiver.url}/hook")
    webhook = receiver.next()
    calls.verify(webhook)
    result = calls.result(request_id, FLUX_LORA).json()
    query = {"endpoint_id": FLUX_LORA, "expand": "payloads"}
    [item] = calls.http.get("/v1/models/requests/by-endpoint", params=query).json()["items"]
    assert (item["json_input"], item["json_output"]) == (PLAIN, result)
    assert (item["request_id"], item["status_code"]) == (request_id, 200)


def test_inline_picture_stays_unstored(calls: Calls) -> None:
    request_id = calls.run({**PLAIN, "sync_mode": True}, application=FLUX_LORA)
    [image] = calls.result(request_id, FLUX_LORA).json()["images"]
    head, _, data = image["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (96, 128)
    query = {"endpoint_id": FLUX_LORA, "expand": "payloads"}
    [item] = calls.http.get("/v1/models/requests/by-endpoint", params=query).json()["items"]
    assert item["json_output"] is None


@pytest.mark.parametrize("size", [(768, 1024), (1024, 768), (512, 512)])
def test_drawn_pictures_have_no_face(size: tuple[int, int]) -> None:
    """Nothing that is drawn is compared with photos as if a LoRA had made it."""
    faces = OnnxFaces()
    for seed in range(4):
        image = drawn(size, prompt=PROMPT, seed=seed, number=0)
        assert faces.seen(image, image.size).faces == ()


def test_drawn_picture_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(drawing, "_caption", lambda *given, **_: said.append(given[-1]))
    drawn((96, 128), prompt=PROMPT, seed=7, number=0)
    assert said == [
        "fal simulator: drawn, not made with the LoRA",
        f"{PROMPT}\nseed 7, picture 0",
    ]


def test_pictures_from_a_folder(simulate: Simulate, tmp_path: Path) -> None:
    """With a folder the pictures are its photos, cropped to the size, one for each seed in turn."""
    calls = simulate(pictures=folder_of(tmp_path / "person", "blue", "lime", "red"))
    shown = []
    for seed in (0, 1, 2, 3):
        request_id = calls.run({**PLAIN, "seed": seed}, application=FLUX_LORA)
        [image] = calls.result(request_id, FLUX_LORA).json()["images"]
        assert opened(calls, image).size == (96, 128)
        shown.append(colour_of(calls, image))
    assert shown == [(0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 0, 255)]


def test_sheet_shows_no_photo_twice(simulate: Simulate, tmp_path: Path) -> None:
    """The pictures of a proof sheet are as many photos, where there are so many; another LoRA's may begin elsewhere."""
    calls = simulate(pictures=folder_of(tmp_path / "person", "blue", "lime", "red", "yellow"))
    sheets = []
    for number in (1, 4):  # by chance two of them begin alike
        lora = [{"path": calls.stored(lora_of(number)[0], "lora.safetensors")}]
        shown = []
        for order in picture_orders("ada-1", None, "ada", PICTURES):
            asked = {**PLAIN, "seed": order.seed, "loras": lora}
            request_id = calls.run(asked, application=FLUX_LORA)
            [image] = calls.result(request_id, FLUX_LORA).json()["images"]
            shown.append(colour_of(calls, image))
        sheets.append(shown)
    assert [len(set(shown)) for shown in sheets] == [PICTURES, PICTURES]
    assert sheets[0] != sheets[1]


def test_folder_can_be_ordered_meanwhile(standing: Calls, ask: Ask, tmp_path: Path) -> None:
    """The photos of a stranger are answered with as often as it is asked for, then it draws again."""
    folder = folder_of(tmp_path / "stranger", "red")
    standing.inject("picture_photos", folder=str(folder), times=1)
    stranger, drawn = ask()["images"][0], ask()["images"][0]
    assert colour_of(standing, stranger) == (255, 0, 0)
    assert bytes_of(standing, stranger) != bytes_of(standing, drawn)


def test_photo_is_turned_upright(simulate: Simulate, tmp_path: Path) -> None:
    turned = picture(300, 400, seed=1)
    on_its_side = encoded(turned.rotate(90, expand=True), "JPEG", exif=exif(6))
    (tmp_path / "a.jpg").write_bytes(on_its_side)
    (tmp_path / "upright").mkdir()
    (tmp_path / "upright" / "a.jpg").write_bytes(encoded(turned, "JPEG"))
    small: dict[str, Any] = {**PLAIN, "image_size": {"width": 30, "height": 40}}
    found = []
    for folder in (tmp_path, tmp_path / "upright"):
        calls = simulate(pictures=folder)
        result = calls.result(calls.run(small, application=FLUX_LORA), FLUX_LORA).json()
        found.append(opened(calls, result["images"][0]).convert("L").tobytes())
    distance = sum(abs(one - other) for one, other in zip(*found, strict=True)) / len(found[0])
    assert distance < 12


def test_folder_without_photos_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=r"name a folder of \.jpg"):
            SimulatorConfig(pictures=folder)


def test_blackened_picture_says_so(standing: Calls, ask: Ask) -> None:
    """A picture that the safety checker blackens is black, flagged and billed; without it there is none."""
    standing.inject("picture_black", times=None)
    black, unchecked = ask(num_images=2), ask(enable_safety_checker=False)
    standing.sim.clear()
    assert black["has_nsfw_concepts"] == [True, True]
    assert opened(standing, black["images"][0]).getextrema() == ((0, 0), (0, 0), (0, 0))
    assert unchecked["has_nsfw_concepts"] == [False]
    assert standing.rows("billed")[-2]["output_units"] == 2


def test_picture_fails_on_request(calls: Calls, fal: fal_client.SyncClient) -> None:
    """A fault of the endpoint strikes the pictures alone, billed where it says so."""
    calls.inject("training_error", endpoint_id=FLUX_LORA, billable_units=1)
    assert calls.trained()
    with pytest.raises(FalClientHTTPError) as failed:
        fal.subscribe(FLUX_LORA, PLAIN)
    assert failed.value.status_code == 500
    [_, event] = calls.rows("billed")
    assert (event["endpoint_id"], event["cost_total"]) == (FLUX_LORA, PRICE)
    assert fal.subscribe(FLUX_LORA, PLAIN)["images"]


def test_pictures_wait_for_a_slot(simulate: Simulate, point_fal_client: PointFalClient) -> None:
    calls = simulate(max_in_progress=1)
    fal = point_fal_client(calls.sim)
    calls.inject("training_stuck")
    first = calls.submitted()
    handle = fal.submit(FLUX_LORA, PLAIN)
    assert handle.status() == fal_client.Queued(position=0)
    calls.cancel(first)
    assert handle.get()["images"]
    assert calls.sim.ledger()["max_in_progress"] == 1


def test_picture_can_be_cancelled(calls: Calls, fal: fal_client.SyncClient) -> None:
    calls.inject("training_stuck")
    handle = fal.submit(FLUX_LORA, PLAIN)
    until(lambda: isinstance(handle.status(), fal_client.InProgress))
    handle.cancel()
    with pytest.raises(FalClientHTTPError) as ended:
        handle.get()
    assert (ended.value.status_code, ended.value.error_type) == (499, "client_cancelled")
    assert calls.rows("billed") == []


def test_picture_takes_its_time(calls: Calls, fake_sleep: Any) -> None:
    sleep = fake_sleep("image_model")
    calls.run(PLAIN, application=FLUX_LORA)
    calls.inject("training_slow", seconds=90)
    request_id = calls.run(PLAIN, application=FLUX_LORA)
    assert sleep.seconds == [0.02, 90]
    assert calls.result(request_id, FLUX_LORA).json()["timings"] == {"inference": 90}
