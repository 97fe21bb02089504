"""The pictures of a proof sheet: what each is made of, what it costs, and which result of fal's is one."""

from typing import Any

import pytest

from lora_drop.datasets.parameters import PRESETS
from lora_drop.fal.inference import INFERENCES
from lora_drop.fal.proof_prompts import (
    PICTURES,
    PROMPTS,
    no_pictures,
    picture_application,
    picture_arguments,
    picture_orders,
    picture_usd,
)
from lora_drop.jobs.artifacts import artifacts_in, of_kind
from lora_drop.jobs.evidence import is_of_picture
from lora_drop.jobs.ids import JOB_ID, picture_job_id
from lora_drop.jobs.job import Job
from lora_drop.services.proof_sheets import picture_job
from tests.support.builders import NOW, make_job

TRAINING = make_job()
FOLDER = f"portrait/ada/{TRAINING.job_id}"
URL = f"https://models.s3.amazonaws.com/{FOLDER}/lora.safetensors?X-Amz-Signature=1"
IMAGE = {"url": "https://v3.fal.media/files/a/one.jpeg", "width": 768, "height": 1024}


def picture(number: int = 1) -> Job:
    order = picture_orders(TRAINING.job_id, None, "ada", PICTURES)[number - 1]
    return picture_job(TRAINING, order, now=NOW)


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_each_preset_has_four_prompts(preset: str | None) -> None:
    """Every preset has four prompts with the trigger phrase in them, and seeds that are always the same."""
    orders = picture_orders("ada-0123456789", preset, "TOK_1", PICTURES)
    assert len({each.prompt for each in orders}) == PICTURES == 4
    assert all("TOK_1" in each.prompt for each in orders)
    assert [each.seed for each in orders] == [11, 12, 13, 14]
    assert preset in PROMPTS
    assert "{" not in "".join(each.prompt for each in picture_orders("a", preset, None, 4))


def test_every_number_has_a_picture() -> None:
    """A sheet that was begun with more pictures than there are prompts now can be ended."""
    numbers = [each.number for each in picture_orders("ada-0123456789", "portrait", "ada", 9)]
    assert numbers == list(range(1, 10))


def test_price_is_of_whole_megapixels() -> None:
    order = picture().picture
    assert order
    assert picture_usd(order) == 0.035
    assert picture_usd(order.model_copy(update={"width": 1024, "height": 1024})) == 0.07


def test_only_flux_lora_makes_pictures() -> None:
    makes = {trainer for trainer in INFERENCES if picture_application(trainer)}
    assert makes == INFERENCES.keys() - {"fal-ai/flux-krea-trainer"}
    assert picture_application("fal-ai/qwen-image-trainer") is None
    assert "fal-ai/qwen-image-trainer" in no_pictures("fal-ai/qwen-image-trainer")


def test_picture_has_an_id_of_its_own() -> None:
    """The same picture of the same training is always the same job, and no other picture is."""
    ids = [picture_job_id(TRAINING.job_id, number) for number in range(1, 100)]
    assert len({*ids, TRAINING.job_id}) == 100
    assert all(JOB_ID.fullmatch(each) for each in ids)
    assert picture_job_id("a-0123456789", 1) != picture_job_id("a-9876543210", 1)
    assert picture().prefix == f"{FOLDER}/proof/1/"


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("changes", "is_its"),
    [
        ({}, True),
        ({"seed": "11"}, True),
        ({"num_inference_steps": 28}, True),
        ({"seed": 12}, False),
        ({"prompt": "a photo of ada"}, False),
        ({"loras": []}, False),
        ({"loras": [{"path": URL}, {"path": URL}]}, False),
        ({"loras": [{"path": None}]}, False),
        ({"loras": ["x"]}, False),
        ({"loras": [{"path": "http://["}]}, False),
        ({"loras": [{"path": f"https://s3.aws/models/{FOLDER}/lora.safetensors"}]}, True),
        ({"loras": [{"path": f"https://s3.aws/models/{FOLDER}/2-lora.safetensors"}]}, True),
        ({"loras": [{"path": f"https://s3.aws/models/{FOLDER}/config.json"}]}, False),
        ({"loras": [{"path": f"https://s3.aws/models/{FOLDER}x/lora.safetensors"}]}, False),
        ({"loras": [{"path": f"https://s3.aws/models/x{FOLDER}/lora.safetensors"}]}, False),
    ],
)
def test_request_is_known_by_its_input(changes: dict[str, Any], is_its: bool) -> None:  # noqa: FBT001
    """A request of fal's list is a picture's own by its LoRA, its prompt and its seed together."""
    order = picture().picture
    assert order
    assert is_of_picture(picture(), {**picture_arguments(order, URL), **changes}) is is_its
    assert not is_of_picture(picture(2), picture_arguments(order, URL))
    assert not is_of_picture(TRAINING, picture_arguments(order, URL))


@pytest.mark.parametrize(
    ("payload", "kept"),
    [
        ({"images": [IMAGE], "prompt": "x"}, [("picture.jpg", 768, None)]),
        ({"images": [IMAGE], "has_nsfw_concepts": [True]}, [("picture.jpg", 768, True)]),
        ({"images": [IMAGE, IMAGE], "has_nsfw_concepts": []}, [("picture.jpg", 768, None)]),
        ({"images": [{**IMAGE, "width": True}], "prompt": "x"}, [("picture.jpg", None, None)]),
        ({"images": [{**IMAGE, "width": 10**9}], "prompt": "x"}, [("picture.jpg", None, None)]),
        ({"images": [], "prompt": "x"}, []),
        ({"images": IMAGE, "prompt": "x"}, []),
        ({"images": [{"url": "x" * 5000}], "prompt": "x"}, []),
        ({"images": [IMAGE]}, [("picture.jpg", 768, None)]),
        (
            {"images": [IMAGE], "prompt": "x", "lora_file": {"url": "https://a/b.safetensors"}},
            [("lora.safetensors", None, None), ("picture.jpg", 768, None)],
        ),
    ],
)
def test_result_of_inference_is_one_picture(
    payload: dict[str, Any], kept: list[tuple[str, int | None, bool | None]]
) -> None:
    """The first image of a result is what a picture's job keeps of it, and a training's job keeps all but that."""
    found = artifacts_in(payload)
    assert [(each.name, each.width, each.blackened) for each in found] == kept
    pictures = [each for each in found if each.name == "picture.jpg"]
    assert [*of_kind(found, picture=True)] == pictures
    assert [*of_kind(found, picture=False), *pictures] == [*found]


def test_type_of_a_picture_is_no_page() -> None:
    """What fal calls a picture's type is believed only where it is one: a browser runs what is called a page."""
    image = {**IMAGE, "content_type": "text/html"}
    [artifact] = artifacts_in({"images": [image], "prompt": "x"})
    assert artifact.content_type == "image/jpeg"
