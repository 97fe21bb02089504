"""What faces cost: seconds and memory a photo, the size of the submit function's artifact, its first photo, and dollars.

Everything is measured in the artifact that ``functions/Makefile`` builds: in a process of its own on this machine, and the
cold start in the runtime's container.
"""

import json
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from benchmarks.face_start import start_rows
from benchmarks.runtime import built
from lora_drop.dev.prices import MB_A_CPU, PRICES
from lora_drop.local.stack import SAMPLE

LARGE, QUALITY, NOISE = (4000, 3000), 92, 18.0
PHOTOS = 25  # of a dataset, for its cost
GIGABYTES = 2  # of the function
DOLLARS, CPUS = PRICES["gb_second"].usd, GIGABYTES * 1024 / MB_A_CPU
RUNS = 3
MB = 1_000_000
# What is left out of the artifact for the figures without faces.
FACES_ONLY = ("onnxruntime", "lora_drop/models")
MEASURE = """
import json, re, sys, time
wall, cpu = time.perf_counter, time.process_time
began = wall(), cpu()
sys.path[:0] = [sys.argv[1]]
import functions.submit.handler
imported = wall(), cpu()
from pathlib import Path
from lora_drop.adapters.faces import OnnxFaces
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
faces = OnnxFaces() if sys.argv[3] == "faces" else None
pictures = PillowPictures(faces)
data = Path(sys.argv[2]).read_bytes()
def look():
    return pictures.look(data, describe(WholeImage(data)))
def compare(looks):
    if faces:
        faces.similarities([each.faces.main.crop for each in looks])
compare([look()])
first = wall(), cpu()
compare([look() for _ in range(20)])
status = Path("/proc/self/status").read_text()
print(json.dumps({
    "import": imported[1] - began[1], "first": first[1] - imported[1], "cold": first[0] - began[0],
    "photo": (cpu() - first[1]) / 20, "mib": int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024,
}))
"""


def cost_rows() -> list[tuple[str, ...]]:
    """Return each figure without faces and with them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        artifact, photo = built("Submit", folder / "artifact"), _photo(folder / "photo.jpg")
        sizes = {name: _size(artifact, folder, name) for name in ("without", "faces")}
        figures = {name: _measured(artifact, photo, name) for name in ("without", "faces")}
        started = start_rows(artifact, folder, photo.read_bytes())
    machine = f"{platform.machine()}, one thread"

    def row(
        name: str, key: str, form: str, of: Mapping[str, Mapping[str, float]]
    ) -> tuple[str, ...]:
        return (name, form.format(of["without"][key]), form.format(of["faces"][key]))

    seconds = {name: figures[name]["photo"] for name in figures}
    dollars = [
        1000 * PHOTOS * seconds[name] / CPUS * GIGABYTES * DOLLARS for name in ("without", "faces")
    ]
    return [
        row(
            f"CPU a photo of 12 megapixels, compared as well ({machine})",
            "photo",
            "{:.3f} s",
            figures,
        ),
        row("memory of the process at its peak", "mib", "{:.0f} MiB", figures),
        row("artifact, unpacked", "files", "{:.0f} MB", sizes),
        row("artifact, zipped", "zipped", "{:.0f} MB", sizes),
        row("CPU until the handler is imported", "import", "{:.2f} s", figures),
        row("CPU of the first photo", "first", "{:.2f} s", figures),
        row("start and first photo, on the clock", "cold", "{:.2f} s", figures),
        *started,
        (
            f"Lambda for 1,000 datasets of {PHOTOS} such photos",
            *(f"${each:.2f}" for each in dollars),
        ),
    ]


def _photo(file: Path) -> Path:
    """Write a view of the sample's portrait as a photo of 12 megapixels with a sensor's noise."""
    with zipfile.ZipFile(SAMPLE) as archive, archive.open("astronaut-01.jpg") as member:
        large = Image.open(member).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC)
    noise = Image.effect_noise(LARGE, NOISE).convert("RGB")
    Image.blend(large, noise, 0.1).save(file, "JPEG", quality=QUALITY)
    return file


def _size(artifact: Path, folder: Path, name: str) -> dict[str, float]:
    """Return the bytes of the files and of the ZIP that Lambda gets, in MB."""
    files = [
        file
        for file in artifact.rglob("*")
        if file.is_file()
        and (name == "faces" or not file.relative_to(artifact).as_posix().startswith(FACES_ONLY))
    ]
    target = folder / f"{name}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(artifact))
    return {
        "files": sum(file.stat().st_size for file in files) / MB,
        "zipped": target.stat().st_size / MB,
    }


def _measured(artifact: Path, photo: Path, name: str) -> dict[str, float]:
    """Return the least of several runs of each figure."""
    runs: list[dict[str, float]] = []
    names = {"POWERTOOLS_SERVICE_NAME": "x", "POWERTOOLS_METRICS_NAMESPACE": "x"}
    for _ in range(RUNS):
        done = subprocess.run(  # noqa: S603  # our own words
            [sys.executable, "-I", "-S", "-c", MEASURE, str(artifact), str(photo), name],
            env=names,
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(json.loads(done.stdout))
    return {key: min(run[key] for run in runs) for key in runs[0]}
