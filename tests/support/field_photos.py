"""Photos as people really have them, with every picture decoded: what is reported, and what fal gets."""

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.services.mend import Mender
from tests.support.checking import checked, good
from tests.support.memory_files import MemoryRange
from tests.support.photos import encoded, picture

PICTURES = PillowPictures()
SET = {f"{number:02}.jpg": encoded(picture(600, 512, seed=number), "JPEG") for number in range(10)}


def field(corpora: Path, case: str) -> bytes:
    path = corpora / "field" / case / "dataset.zip"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return path.read_bytes()


def report(data: bytes, **how: Any) -> Any:
    return checked(data, pictures=PICTURES, **how).report


def files_of(data: bytes, *, pictures: PillowPictures = PICTURES, **how: Any) -> dict[str, bytes]:
    """What fal gets."""
    found = good(data, pictures=pictures, **how)
    if found.plan:
        archive = MemoryRange(data)
        pieces = Mender(pictures).mended(archive, found.structure, found.plan, found.prepared)
        data = b"".join(pieces)
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        return {name: files.read(name) for name in files.namelist()}
