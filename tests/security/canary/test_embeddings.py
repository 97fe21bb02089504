"""An embedding that leaks is found in every form in which a program would write it."""

import base64
import io
import json
import logging
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lora_drop.adapters.faces import OnnxFaces
from lora_drop.datasets.faces.face import CROP_BYTES
from tests.security.canary.__main__ import SUITES
from tests.security.canary.canary_values import CanaryScan, Kind, Place
from tests.security.canary.embeddings import Embeddings
from tests.security.canary.plugin import WATCH

VECTOR = np.random.default_rng(7).normal(size=128).astype(np.float32)
UNIT = VECTOR / np.linalg.norm(VECTOR)


def saved(vector: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, vector)
    return buffer.getvalue()


TEXTS: dict[str, Callable[[], str]] = {
    "JSON": lambda: json.dumps({"face": VECTOR.tolist()}),
    "JSON, normalised": lambda: json.dumps({"face": UNIT.tolist()}),
    "JSON, rounded": lambda: json.dumps([round(each, 4) for each in UNIT.tolist()]),
    "indented JSON": lambda: json.dumps(UNIT.tolist(), indent=2),
    "what numpy prints": lambda: str(VECTOR),
    "what Python prints": lambda: repr(tuple(UNIT.tolist())),
    "a table": lambda: "\n".join(f"{each:.6f};" for each in UNIT),
    "a part of it": lambda: json.dumps(VECTOR.tolist()[40:60]),
    "base64": lambda: base64.b64encode(VECTOR.tobytes()).decode(),
    "base64 in the middle of something": lambda: base64.b64encode(b"xy" + UNIT.tobytes()).decode(),
    "base64 for addresses": lambda: base64.urlsafe_b64encode(UNIT.tobytes()).decode(),
    "hexadecimal digits": lambda: "embedding=" + VECTOR.tobytes().hex(),
    "base64 of doubles": lambda: base64.b64encode(UNIT.astype(np.float64).tobytes()).decode(),
}
FILES: dict[str, Callable[[], bytes]] = {
    "float32": lambda: b"header" + VECTOR.tobytes(),
    "float64": lambda: UNIT.astype(np.float64).tobytes(),
    "float16": lambda: UNIT.astype(np.float16).tobytes(),
    "a file of numpy": lambda: saved(UNIT),
    "a pickle": lambda: pickle.dumps({"face": VECTOR}),
    "a text": lambda: json.dumps(UNIT.tolist()).encode(),
}
HARMLESS = {
    "box": json.dumps({"left": 0.1234, "top": 0.2345, "width": 0.3456, "height": 0.4567}),
    "similarities": json.dumps([0.912, 0.873, 0.841, 0.9, 0.777, 0.812]),
    "a log line": "2026-11-30T04:00:00.123Z Duration: 102.253 ms Billed: 103.000 ms Memory: 512",
    "a digest": "ab" * 64,
    "a photo": base64.b64encode(random.Random(5).randbytes(CROP_BYTES)).decode(),  # noqa: S311
}


@pytest.fixture
def embeddings() -> Embeddings:
    """As the watch knows it: as it comes from the model, and as it is compared."""
    made = Embeddings()
    for each in (VECTOR, UNIT):
        made.add(each.tolist())
    return made


@pytest.mark.parametrize("form", TEXTS)
def test_leak_in_text_is_found(embeddings: Embeddings, form: str) -> None:
    assert list(embeddings.found(TEXTS[form]()))


@pytest.mark.parametrize("form", FILES)
def test_leak_in_file_is_found(embeddings: Embeddings, form: str) -> None:
    assert list(embeddings.found_in(FILES[form]()))


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_other_numbers_are_no_leak(embeddings: Embeddings, text: str) -> None:
    assert list(embeddings.found(text)) == []
    assert list(embeddings.found_in(text.encode())) == []


@pytest.mark.parametrize("place", Place)
def test_embedding_is_allowed_nowhere(place: Place) -> None:
    scan = CanaryScan()
    scan.embeddings.add(VECTOR.tolist())
    kinds = {kind for kind, _, _ in scan.found(json.dumps(UNIT.tolist()), place)}
    assert kinds == {Kind.EMBEDDING}


def test_logged_embedding_of_the_adapter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch knows what the model itself has made, and sees it in a line of a log."""
    hits, before = len(WATCH.hits), WATCH.scan.embeddings.count
    kept: list[np.ndarray] = []
    stack = np.stack

    def keeping(rows: list[np.ndarray]) -> np.ndarray:
        kept.extend(rows)
        return stack(rows)

    monkeypatch.setattr(np, "stack", keeping)

    OnnxFaces().similarities([bytes(CROP_BYTES), bytes([200]) * CROP_BYTES])
    logging.getLogger("lora_drop.leak").warning("compared %s", kept[1].tolist())

    found = [hit.kind for hit in WATCH.hits[hits:]]
    del WATCH.hits[hits:]  # it was on purpose
    assert WATCH.scan.embeddings.count == before + 4
    assert found == [Kind.EMBEDDING]


def test_canary_run_names_what_there_is() -> None:
    """`make canary` runs every suite that it names."""
    root = Path(__file__).parents[3]
    assert [suite for suite in SUITES if not (root / suite).exists()] == []
