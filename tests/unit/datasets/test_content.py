"""Two datasets are the same where the same would be trained, however they come."""

import random
import zipfile
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from lora_drop.datasets.archives import Member
from lora_drop.datasets.dataset import Dataset, content_digest
from lora_drop.datasets.owner_metadata import forced
from lora_drop.datasets.parameters import resolve
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.builders import APPLICATION, PNG, make_archive, make_jpeg, make_png
from tests.support.checking import good

PHOTOS = {f"{number:02}.jpg": make_jpeg(number) for number in range(12)}
CAPTIONS = {"03.txt": b"a photo of [trigger]", "07.txt": b"[trigger] smiles"}
WHOLE = PHOTOS | CAPTIONS


def digest(
    members: Mapping[str, bytes] = WHOLE,
    *,
    key: str = "portrait/ada.zip",
    metadata: Mapping[str, str] | None = None,
    seed: str = "0123456789",
    application: str = APPLICATION,
    **archive: Any,
) -> str:
    """What a drop of these files is."""
    found = good(
        make_archive(images=0, members=members, **archive),
        key=key,
        metadata={name: value for name, value in (metadata or {}).items() if name != "force"},
        seed=seed,
        application=application,
    )
    return content_digest(found.dataset, found.resolved)


def renamed(prefix: str) -> dict[str, bytes]:
    return {f"{prefix}{name}": data for name, data in WHOLE.items()}


def shuffled(seed: int) -> dict[str, bytes]:
    names = list(WHOLE)
    random.Random(seed).shuffle(names)  # noqa: S311  # an order, no secret
    return {name: WHOLE[name] for name in names}


def without(name: str) -> dict[str, bytes]:
    return {other: data for other, data in WHOLE.items() if other != name}


THE_SAME: dict[str, dict[str, Any]] = {
    "the very same": {},
    "other names": {"members": renamed("IMG_")},
    "another folder": {"members": renamed("photos/of ada/")},
    "another order": {"members": shuffled(1)},
    "not compressed": {"compression": zipfile.ZIP_STORED},
    "junk beside it": {"members": WHOLE | {"__MACOSX/._00.jpg": b"x", "Thumbs.db": b"y"}},
    "a photo twice": {"members": WHOLE | {"12.jpg": PHOTOS["00.jpg"]}},
    "a caption of no photo": {"members": WHOLE | {"other.txt": b"a photo of no person"}},
    "an empty caption": {"members": WHOLE | {"00.txt": b""}},
    "another ending": {"members": without("03.txt") | {"03.caption": CAPTIONS["03.txt"]}},
    "another name of the ZIP": {"key": "portrait/grace.zip"},
    "the preset said otherwise": {"key": "ada.zip", "metadata": {"preset": "portrait"}},
    "the parameters said one by one": {
        "key": "ada.zip",
        "metadata": {"steps": "1500", "learning-rate": "0.00015"},
    },
    "what is the default said aloud": {"training": {"subject_crop": True}},
    "another trigger phrase made up": {"seed": "9876543210"},
    "force": {"metadata": {"force": "true"}},
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("case", THE_SAME)
def test_the_same_content_is_recognised(case: str) -> None:
    """The same photos, captions and parameters are the same dataset, however they come."""
    assert digest(**THE_SAME[case]) == digest()


ANOTHER: dict[str, dict[str, Any]] = {
    "a photo less": {"members": without("00.jpg")},
    "a photo more": {"members": WHOLE | {"12.jpg": make_jpeg(100)}},
    "another photo": {"members": WHOLE | {"00.jpg": make_jpeg(101)}},
    "a photo of another kind": {"members": WHOLE | {"00.jpg": PNG}},
    "a photo a byte longer": {"members": WHOLE | {"00.jpg": make_jpeg(1000)}},
    "a caption less": {"members": without("03.txt")},
    "a caption more": {"members": WHOLE | {"00.txt": b"ada"}},
    "another caption": {"members": WHOLE | {"03.txt": b"a photo of [trigger]."}},
    "the captions at each other's photo": {
        "members": WHOLE | {"03.txt": CAPTIONS["07.txt"], "07.txt": CAPTIONS["03.txt"]}
    },
    "a caption at another photo": {"members": without("03.txt") | {"04.txt": CAPTIONS["03.txt"]}},
    "other steps": {"metadata": {"steps": "1501"}},
    "another preset": {"key": "style/ada.zip"},
    "no preset": {"key": "ada.zip"},
    "another flag": {"training": {"create_masks": True}},
    "a trigger phrase": {"metadata": {"trigger-phrase": "ada"}},
    "one that looks made up": {"metadata": {"trigger-phrase": "TOK_01234567"}},
    "a LoRA to go on from": {"metadata": {"resume-from-checkpoint": "https://x.example/a"}},
    "another trainer": {"application": "fal-ai/flux-lora-fast-training"},
}


@pytest.mark.promise("never lose a result")
def test_another_training_is_another_dataset() -> None:
    """A dataset that would be trained otherwise is another one, and differs from each other one."""
    digests = {case: digest(**changes) for case, changes in ANOTHER.items()}
    assert [case for case, found in digests.items() if found == digest()] == []
    assert len(set(digests.values())) == len(ANOTHER)


@pytest.mark.promise("never pay twice")
def test_a_digest_stays_across_versions() -> None:
    """A digest is the same in the next version, or everything would be paid again."""
    photo = Member("ada.jpg", method=0, offset=0, compressed=9, size=9, crc=7)
    caption = Member("ada.txt", method=0, offset=99, compressed=5, size=5, crc=3)
    resolved = resolve(key="a.zip", training_json=None, metadata={}, trigger_seed="0123456789")
    found = content_digest(Dataset((photo,), {"ada.jpg": caption}, {}), resolved)
    assert found == "7dd45970d50b770fdd9e75f9f0fe2bcf2d3a2ba93ff85964e1cd544993a8b55d"


MASKS = {"00_mask.png": make_png(1), "01_mask.png": make_png(2)}
SWAPPED = {"00_mask.png": make_png(2), "01_mask.png": make_png(1)}


def test_masks_count_where_they_are_used() -> None:
    fast = partial(digest, application="fal-ai/flux-lora-fast-training")
    assert len({fast(), fast(WHOLE | MASKS), fast(WHOLE | SWAPPED)}) == 3
    assert digest(WHOLE | MASKS) == digest(WHOLE | SWAPPED)


def test_trainer_checkpoint_and_phrase_count() -> None:
    """The trainer, the job to resume from and a chosen trigger phrase count, however chosen."""
    krea = "fal-ai/flux-krea-trainer"
    one, other = ({"resume-from-checkpoint": f"ada-000000000{n}"} for n in (1, 2))
    ada, grace = {"trigger-phrase": "ada"}, {"trigger-phrase": "grace"}
    assert digest(application=krea) == digest(metadata={"trainer": "flux-krea-trainer"})
    assert digest(application=krea) != digest()
    assert len({digest(metadata=one), digest(metadata=other), digest()}) == 3
    assert digest(metadata=ada) == digest(metadata=ada, seed="9876543210")
    assert digest(metadata=ada) != digest(metadata=grace)


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        *(({}, False), ({"steps": "1500"}, False), ({"force": "true"}, True)),
        *(({"force": " TRUE "}, True), ({"force": "false"}, False), ({"force": "False"}, False)),
    ],
)
def test_only_true_forces_a_training(metadata: dict[str, str], *, wanted: bool) -> None:
    assert forced(metadata) is wanted


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("value", ["", "yes", "1", "on", "truefalse", "tru", "x" * 5000])
def test_another_value_of_force_is_refused(value: str) -> None:
    """A value of force that is neither true nor false is refused."""
    with pytest.raises(DatasetRejectedError) as raised:
        forced({"force": value})
    [problem] = raised.value.problems
    assert problem.code == "parameter_invalid_type"
    assert "true or false" in problem.message
    assert len(problem.message) < 200
