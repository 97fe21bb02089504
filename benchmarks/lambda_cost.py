"""What a check takes and costs with as much memory as a function may have: measured of JPEGs, reckoned of 50 HEICs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cold_events import VARIABLES
from benchmarks.figures import Figure
from benchmarks.runtime import built, first_answer, what_is_missing
from lora_drop.dev.prices import MB_A_CPU, PRICES

MEMORY, RUNS = (1769, 2048, 3008), 5
WAITING = (
    1.5  # seconds of a submission for S3, DynamoDB and fal's answer, in which it computes nothing
)
# The submit function's own pictures and faces, on a dataset that lies beside it.
CHECK = """
import time
from pathlib import Path

from functions.submit.handler import bootstrap
from lora_drop.adapters.decoding_threads import DecodingThreads
from lora_drop.adapters.local_files import open_range
from lora_drop.services.check import Checker, DatasetInput


class NoPrices:
    def price(self, application):
        return None


def handler(event, context):
    services = bootstrap()
    pictures, faces, style = services.pictures, services.faces, services.pictures_of_style
    checker = Checker(
        pictures, NoPrices(), lambda *_: None, faces=faces, pictures_of_style=style, prepares=True, threads=DecodingThreads
    )
    began = time.perf_counter()
    with open_range(Path(__file__).with_name("photos.zip")) as file:
        drop = DatasetInput(file, "a.zip", "a.zip", {}, "0123456789", "fal-ai/flux-lora-portrait-trainer")
        report = checker.check(drop).report
    return {"seconds": time.perf_counter() - began, "photos": report.images}
"""


def measured(file: Path, count: int, folder: Path) -> Iterator[Figure]:
    """Yield seconds and dollars of checks in a container with a function's memory and its share of the CPUs; none without Docker.

    ``file`` is a dataset of so many JPEGs, ``folder`` where the artifact is built.
    """
    if what_is_missing():
        return
    artifact, layer = built("Submit", folder / "Submit"), folder / "layer"
    layer.mkdir()
    (layer / "check_photos.py").write_text(CHECK)
    shutil.copyfile(file, layer / "photos.zip")
    for memory in MEMORY:
        runs = tuple(_seconds(artifact, layer, memory, count) for _ in range(RUNS))
        of = f"{count} JPEG photos with the search for faces, {memory:,} MB in a container"
        yield from _figures(f"large.lambda.jpeg.{memory}", of, memory, runs)


def _seconds(artifact: Path, layer: Path, memory: int, count: int) -> float:
    """Return what the first check takes, the function's start aside; raises RuntimeError where it saw other photos."""
    handler = "check_photos.handler"
    started = first_answer(artifact, handler, {}, memory=memory, variables=VARIABLES, beside=layer)
    if started.answer.get("photos") != count:
        raise RuntimeError(f"{started.answer}")
    return float(started.answer["seconds"])


def reckoned(cpu: float) -> Iterator[Figure]:
    """Yield the same of a submission of 50 HEICs, from the CPU seconds of one."""
    for memory in MEMORY:
        seconds = 50 * cpu / (memory / MB_A_CPU) + WAITING
        of = f"50 HEIC photos with the search for faces, no vector code, {memory:,} MB, reckoned"
        yield from _figures(f"check.lambda.heic.{memory}", of, memory, (seconds,))


def _figures(key: str, of: str, memory: int, runs: tuple[float, ...]) -> Iterator[Figure]:
    yield Figure(f"{key}.seconds", f"{of}: one dataset", "s", runs)
    price = 1000 * memory / 1024 * PRICES["gb_second"].usd
    dollars = tuple(seconds * price for seconds in runs)
    yield Figure(f"{key}.dollars", f"{of}: 1,000 datasets", "$", dollars)
