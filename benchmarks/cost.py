"""What one job uses of AWS, function by function: ``python -m benchmarks cost``; docs/cost.md makes dollars of it."""

import io
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Topic
from benchmarks.growth import measured, started
from benchmarks.photos import pictures
from lora_drop.client.check import check_dataset

PHOTOS, MEGAPIXELS, QUALITY = 12, 12, 75
RUNS = 3  # a check takes a second or more
NAMES = {
    "Submit": "submit",
    "Webhook": "webhook",
    "Store": "store",
    "Jobs": "jobs",
    "a round that closes a job": "closing",
    "Reconcile": "reconcile",
    "the comparison of trainers": "comparison",
    "Forget": "forget",
}
SERVICES = {
    "dynamodb": "dynamodb",
    "s3 read": "s3_read",
    "s3 write": "s3_write",
    "events": "events",
}


def measure() -> Topic:
    """Measure the functions on moto, and the check of real photos."""
    rows = measured(started("job"))
    return Topic(
        "cost",
        "What a job uses",
        "The functions' own handlers on moto, whose CPU is left out, for one job that goes well; warm, 5 jobs. Their dataset's photos have no pixels: "
        f"what those cost is measured apart, by the check of {PHOTOS} JPEGs of {MEGAPIXELS} megapixels with the look for faces, {RUNS} runs.",
        [*(figure for row in rows for figure in figures(row)), photo()],
    )


def figures(row: Mapping[str, Any]) -> Iterator[Figure]:
    """Yield what one function uses for one event."""
    name = NAMES[row["function"]]
    key, says = f"cost.{name}", row["function"].lower()
    yield Figure(f"{key}.cpu", f"{says}: CPU", "ms", tuple(row["ms"]))
    calls: Mapping[str, int] = row["calls"]
    yield Figure(f"{key}.calls", f"{says}: calls to AWS", "calls", (sum(calls.values()),))
    for service, part in SERVICES.items():
        yield Figure(f"{key}.{part}", f"{says}: {service}", "calls", (calls.get(service, 0),))
    yield Figure(f"{key}.log", f"{says}: bytes of log", "count", (row["log_bytes"],))


def photo() -> Figure:
    """Return the CPU of the check for one photo."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "photos.zip"
        with zipfile.ZipFile(archive, "w") as members:
            for number, image in enumerate(pictures(PHOTOS, MEGAPIXELS)):
                file = io.BytesIO()
                image.save(file, "JPEG", quality=QUALITY)
                members.writestr(f"IMG_{number:04}.jpg", file.getvalue())
        runs = tuple(_cpu(archive) / PHOTOS for _ in range(RUNS))
    return Figure("cost.photo.cpu", "submit: CPU for each photo that is checked", "ms", runs)


def _cpu(archive: Path) -> float:
    began = time.process_time()
    check_dataset(archive)
    return 1000 * (time.process_time() - began)
