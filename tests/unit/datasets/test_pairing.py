"""A caption finds its photo wherever a person sees that it belongs there, and nowhere else."""

import pytest

from lora_drop.datasets.captions import paired


@pytest.mark.parametrize(
    ("captions", "photos", "pairs"),
    [
        (["a/ada.txt"], ["a/ada.jpg"], {"a/ada.jpg": "a/ada.txt"}),
        (["a.b.txt"], ["a.b.jpeg"], {"a.b.jpeg": "a.b.txt"}),
        (["ada.TXT"], ["ada.jpg"], {"ada.jpg": "ada.TXT"}),
        (["ada.caption"], ["ada.jpg"], {"ada.jpg": "ada.caption"}),
        (["ada.caption", "ada.txt"], ["ada.jpg"], {"ada.jpg": "ada.txt"}),
        (["ada.jpg.txt"], ["ada.jpg"], {"ada.jpg": "ada.jpg.txt"}),
        (["ada.txt"], ["Ada.JPG"], {"Ada.JPG": "ada.txt"}),
        (["J\u00fcrgen.txt"], ["Ju\u0308rgen.jpg"], {"Ju\u0308rgen.jpg": "J\u00fcrgen.txt"}),
        (["captions/ada.txt"], ["images/ada.jpg"], {"images/ada.jpg": "captions/ada.txt"}),
        (["ada.txt"], ["ada.jpg", "ada.png"], {"ada.jpg": "ada.txt", "ada.png": "ada.txt"}),
    ],
)
def test_a_caption_that_can_only_be_one_photos_is_its(
    captions: list[str], photos: list[str], pairs: dict[str, str]
) -> None:
    assert paired(captions, photos) == pairs


@pytest.mark.parametrize(
    ("captions", "photos"),
    [
        (["notes.txt"], ["ada.jpg"]),
        (["c/ada.txt"], ["x/ada.jpg", "y/ada.jpg"]),
        (["c/ada.txt", "d/ada.txt"], ["x/ada.jpg"]),
        (["ADA.txt"], ["ada.jpg", "Ada.jpg"]),
    ],
)
def test_a_caption_that_could_be_anothers_is_nobodys(
    captions: list[str], photos: list[str]
) -> None:
    assert paired(captions, photos) == {}


def test_what_is_exactly_named_is_never_given_away() -> None:
    captions = ["x/ada.txt", "ada.txt"]

    assert paired(captions, ["ada.jpg", "y/ada.jpg"]) == {
        "ada.jpg": "ada.txt",
        "y/ada.jpg": "x/ada.txt",
    }
