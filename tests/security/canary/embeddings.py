"""Face embeddings as canaries: each that is made in a test run, in every form in which it could be written down."""

import base64
import binascii
import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

NUMBER = re.compile(r"-?\d+\.\d{3,}(?:[eE]-?\d+)?")
# Between two numbers of a list, however it is written.
BETWEEN = re.compile(r"[\s,;|]*")
ENCODED = re.compile(r"[0-9a-fA-F]{96,}|[A-Za-z0-9+/_-]{64,}")
PLACES = 3  # of a number that was rounded before it was written
RUN = 5  # numbers in a row: fewer are found by chance in thousands of embeddings
WINDOW = 16  # bytes: four float32, two float64 or eight float16
FORMATS = ("<f4", "<f8", "<f2", ">f4", ">f8")


class Embeddings:
    """All embeddings of a session; it keeps a part of each alone, in the test's own memory."""

    def __init__(self) -> None:
        self._runs: set[tuple[float, ...]] = set()
        self._windows: set[bytes] = set()
        self.count = 0

    def add(self, values: npt.ArrayLike) -> None:
        """Add one embedding, as it is and normalised."""
        self.count += 1
        vector = np.asarray(values, np.float64)
        for each in (vector, vector / np.linalg.norm(vector)):
            self._runs.update(_runs(each.tolist()))
            self._windows.update(each.astype(kind).tobytes()[:WINDOW] for kind in FORMATS)

    def found(self, text: str) -> Iterator[str]:
        """The form of each embedding that a text holds: numbers in a row, hexadecimal digits, base64."""
        if not self.count:
            return
        for row in _rows(text):
            if any(run in self._runs for run in _runs(row)):
                yield "numbers"
        for match in ENCODED.finditer(text):
            for form, data in _decoded(match[0]):
                if any(self.found_in(data)):
                    yield form

    def found_in(self, data: bytes) -> Iterator[str]:
        """The form of each embedding that the bytes of a file hold; those of a text as in a text."""
        if not self.count:
            return
        windows = (data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1))
        if any(window in self._windows for window in windows):
            yield "bytes"
        yield from self.found(data.decode("latin-1"))


def _runs(numbers: Sequence[float]) -> Iterator[tuple[float, ...]]:
    rounded = [round(number, PLACES) for number in numbers]
    return (tuple(rounded[at : at + RUN]) for at in range(len(rounded) - RUN + 1))


def _rows(text: str) -> Iterator[list[float]]:
    """Yield the numbers that stand in a row, with nothing but separators between them."""
    row: list[float] = []
    end = 0
    for match in NUMBER.finditer(text):
        if row and not BETWEEN.fullmatch(text, end, match.start()):
            yield row
            row = []
        row.append(float(match[0]))
        end = match.end()
    yield row


def _decoded(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield what a run of characters stands for, wherever in it the encoding begins."""
    if re.fullmatch(r"[0-9a-fA-F]+", text):
        for begin in (0, 1):
            whole = text[begin : begin + (len(text) - begin) // 2 * 2]
            yield "hexadecimal digits", binascii.unhexlify(whole)
    plain = text.replace("-", "+").replace("_", "/")
    for begin in range(4):
        whole = plain[begin : begin + (len(plain) - begin) // 4 * 4]
        yield "base64", base64.b64decode(whole)


def scanned(embeddings: Embeddings, files: Iterator[tuple[str, bytes]]) -> list[str]:
    """Name and form of each embedding in these files."""
    return list(
        itertools.chain.from_iterable(
            (f"{name}: {form}" for form in embeddings.found_in(data)) for name, data in files
        )
    )
