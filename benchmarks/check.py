"""The check of a dataset, beside the least that it can take and beside what else reads a ZIP in S3.

Each program runs in a process of its own (``check_run``); its clock begins once everything is imported.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import boto3

from benchmarks import peers
from benchmarks.check_archives import MB, photos, write_archive, write_hopeless
from benchmarks.check_profile import profile
from benchmarks.figures import Figure, Goal, Topic
from benchmarks.growth import exponent
from benchmarks.lambda_cost import measured, reckoned
from benchmarks.s3_server import s3_server
from lora_drop.datasets.images.check_time import check_seconds
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.local.tools import ROOT
from lora_drop.services.inspect import MOST_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET, RUNS = "datasets", 5
PEERS = {
    "download": "download, zipfile and Pillow",
    "download_threads": "download, zipfile and Pillow on all cores",
    "remotezip": "remotezip and Pillow",
    "smart_open": "smart_open, zipfile and Pillow",
    "s3fs": "s3fs, zipfile and Pillow",
    "powertools": "Powertools S3Object, zipfile and Pillow",
    "stream_unzip": "stream-unzip and Pillow",
}
FLOOR, CONSTANT, LINEAR = Goal(most=1.15), Goal(most=1.15), Goal(most=1.05)
SIZES, FILES = (50, 500, 2000), (500, 2000)  # MB, by hand
KINDS = {"jpeg": "JPEG", "png": "PNG", "heic": "HEIC"}
HOW = (
    "The clock begins once a program has imported everything: what a command needs to start comes on top. Photos of 12 megapixels (PNG: 3) with a sensor's noise and EXIF, each file another one, deflated in the ZIP. The floor: ranged GETs of 4 MiB, one ahead, inflate, CRC "
    "and draft decode on all cores, and nothing else; the peers verify the CRC and decode in a draft as well, one photo after the "
    "other, but the one that says otherwise. Faces are off unless it says otherwise. S3 is SeaweedFS on the same cores. Five "
    "runs in turn."
)

type Measured = Mapping[str, Sequence[Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where datasets lie: a folder, and a bucket with the same."""

    folder: Path
    endpoint: str

    def add(self, file: Path) -> str:
        """Put a dataset into the bucket as well, and return its address there."""
        _client(self.endpoint).upload_file(str(file), BUCKET, file.name)
        return f"s3://{BUCKET}/{file.name}"

    def run(self, name: str, place: str, *more: str, preload: str = "") -> Mapping[str, float]:
        """Return what one run of a program has measured; raises CalledProcessError."""
        python = peers.program("python") if name in PEERS else sys.executable
        own = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT}", "AWS_ENDPOINT_URL": self.endpoint}
        done = subprocess.run(  # noqa: S603  # our own words
            [python, "-m", "benchmarks.check_run", name, place, *more],
            env={**peers.environment(**own), **({"LD_PRELOAD": preload} if preload else {})},
            check=True, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        measured: Mapping[str, float] = json.loads(done.stdout)
        return measured

    def in_turn(self, place: str, names: Sequence[str], runs: int = RUNS) -> Measured:
        """Run each program so many times, one after the other."""
        found: dict[str, list[Mapping[str, float]]] = {name: [] for name in names}
        for _ in range(runs):
            for name in names:
                found[name].append(self.run(*name.split()[:1], place, *name.split()[1:]))
        return found


def _client(endpoint: str) -> "S3Client":
    session = boto3.Session("test", "test", region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint)


@contextmanager
def _place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="check-") as temporary, s3_server() as endpoint:
        place = Place(Path(temporary), endpoint)
        _client(endpoint).create_bucket(Bucket=BUCKET)
        yield place


def measure() -> Topic:
    """Measure everything of the check."""
    originals = {kind: photos(kind) for kind in KINDS}
    figures: list[Figure] = []
    with _place() as place:
        why = {kind: profile(photographed[0]) for kind, photographed in originals.items()}
        for kind, photographed in originals.items():
            figures += _of_kind(place, kind, photographed, why[kind])
        figures += _hopeless(place, originals["jpeg"])
        figures += _heic_in_time(place, originals["heic"])
    scalar = [each for each in figures if each.key == "check.heic.scalar.cpu"]
    figures += reckoned(
        scalar[0].median / 50 if scalar else _median(figures, "check.heic.photo.cpu")
    )
    return Topic("check", "The check of a dataset", HOW, figures)


def _runs(found: Measured, name: str, value: str) -> tuple[float, ...]:
    return tuple(run[value] for run in found[name])


def _seconds(key: str, of: str, found: Measured, *, why: str) -> Iterator[Figure]:
    """Yield the seconds of the floor, of ours, and of the peers there are, each divided by the floor's."""
    floor, least = f"{key}.floor.seconds", _runs(found, "floor", "seconds")
    yield Figure(floor, f"{of}: the floor", "s", least)
    ours = _runs(found, "ours", "seconds")
    cpu = (median(_runs(found, name, "cpu")) for name in ("ours", "floor"))
    measured = "CPU {:.2f} s, of the floor {:.2f} s. ".format(*cpu)
    why = "" if FLOOR.holds(median(ours) / median(least)) else measured + why
    yield Figure(f"{key}.ours.seconds", f"{of}: ours", "s", ours, floor, FLOOR, why)
    for name, says in PEERS.items():
        if name in found:
            runs = _runs(found, name, "seconds")
            yield Figure(f"{key}.{name}.seconds", f"{of}: {says}", "s", runs, floor)


def _with_faces(key: str, of: str, found: Measured) -> Figure:
    runs, floor = _runs(found, "ours faces", "seconds"), f"{key}.floor.seconds"
    says = f"{of}: ours with the search for faces"
    return Figure(f"{key}.faces.seconds", says, "s", runs, floor)


def _of_kind(place: Place, kind: str, originals: Sequence[bytes], why: str) -> Iterator[Figure]:
    """Yield 50 MB of one format (HEIC: 36, the fewest photos that pass), in S3; JPEGs as a file, with the peers and with faces as well."""
    size = 50 if kind != "heic" else 36
    file = place.folder / f"{kind}.{size}.zip"
    count = write_archive(file, kind, list(originals), size * MB)
    of = f"{count} {KINDS[kind]} photos, {size} MB"
    if kind == "jpeg":
        local = place.in_turn(str(file), ("floor", "ours", "ours faces"))
        yield from _seconds(f"check.{kind}.50.file", f"{of}, a file", local, why=why)
        yield _with_faces(f"check.{kind}.50.file", f"{of}, a file", local)
        cpu = _runs(local, "ours faces", "cpu")
    names = ("floor", "ours", *(("ours faces", *PEERS) if kind == "jpeg" else ()))
    found = place.in_turn(place.add(file), names)
    yield from _seconds(f"check.{kind}.{size}.s3", f"{of}, in S3", found, why=why)
    cpu = cpu if kind == "jpeg" else _runs(found, "ours", "cpu")
    says = f"CPU of one {KINDS[kind]} photo, {'with' if kind == 'jpeg' else 'without'} the search for faces"
    yield Figure(f"check.{kind}.photo.cpu", says, "s", tuple(each / count for each in cpu))
    if kind == "jpeg":
        yield _with_faces(f"check.{kind}.50.s3", f"{of}, in S3", found)
        says = f"{of}, in S3: memory at its peak, ours"
        yield Figure("check.jpeg.50.s3.ours.memory", says, "MiB", _runs(found, "ours", "mib"))
    file.unlink()


def measure_large() -> Sequence[Figure]:
    """Measure 50 MB once more, 500 MB and 2 GB of JPEGs in S3 and as files, and 50 MB with as much memory as a function may have."""
    originals = photos("jpeg")
    with _place() as place:
        why = profile(originals[0])
        figures = [each for size in SIZES for each in _of_size(place, originals, size, why)]
        return [*figures, *_exponent(figures), *_in_a_container(place, originals)]


def _of_size(place: Place, originals: Sequence[bytes], size: int, why: str) -> Iterator[Figure]:
    """Yield so many megabytes of JPEGs in S3, large ones as a file as well; their memory by that of 50 MB."""
    file = place.folder / f"jpeg.{size}.zip"
    count = write_archive(file, "jpeg", list(originals), size * MB)
    key, of = f"large.jpeg.{size}", f"{count:,} JPEG photos, {size:,} MB"
    if size in FILES:
        local = place.in_turn(str(file), ("floor", "ours"))
        yield from _seconds(f"{key}.file", f"{of}, a file", local, why=why)
    address = place.add(file)
    file.unlink()
    found = place.in_turn(address, ("floor", "ours"))
    yield from _seconds(f"{key}.s3", f"{of}, in S3", found, why=why)
    says, memory = f"{of}, in S3: memory at its peak, ours", _runs(found, "ours", "mib")
    if size == SIZES[0]:
        yield Figure(f"{key}.s3.ours.memory", says, "MiB", memory)
    else:
        peer = f"large.jpeg.{SIZES[0]}.s3.ours.memory"
        yield Figure(f"{key}.s3.ours.memory", says, "MiB", memory, peer, CONSTANT)


def _exponent(figures: Sequence[Figure]) -> Iterator[Figure]:
    """Yield how the time of a check grows with the dataset, and the floor's."""
    for name, says in (("ours", "ours"), ("floor", "the floor")):
        keys = {size: f"large.jpeg.{size}.s3.{name}.seconds" for size in SIZES}
        fitted = exponent({size: _median(figures, key) for size, key in keys.items()})
        of = f"JPEG photos of {', '.join(f'{size:,}' for size in SIZES)} MB in S3, seconds: {says}"
        goal = LINEAR if name == "ours" else None
        yield Figure(f"large.jpeg.{name}.exponent", of, "exponent", (fitted,), goal=goal)


def _in_a_container(place: Place, originals: Sequence[bytes]) -> Iterator[Figure]:
    file = place.folder / "container.zip"
    count = write_archive(file, "jpeg", list(originals), 50 * MB)
    yield from measured(file, count, place.folder)
    file.unlink()


def _hopeless(place: Place, originals: Sequence[bytes]) -> Iterator[Figure]:
    """Yield what it costs to refuse three photos beside videos."""
    for size in (50, 500, 2000):
        file = place.folder / f"hopeless.{size}.zip"
        write_hopeless(file, list(originals), size * MB)
        total = file.stat().st_size
        measured = place.run("ours", str(file))
        file.unlink()
        key, of = f"check.hopeless.{size}", f"three photos beside {size} MB of videos, refused"
        requests, part = measured["requests"], 100 * measured["bytes"] / total
        yield Figure(f"{key}.requests", of, "requests", (requests,), goal=Goal(most=2))
        yield Figure(f"{key}.bytes", f"{of}: bytes read", "%", (part,), goal=Goal(most=1))


def _heic_in_time(place: Place, originals: Sequence[bytes]) -> Iterator[Figure]:
    """Yield what 50 HEICs take of the time for a check where the decoder has no vector code, as on arm64."""
    rule = check_seconds(describe(WholeImage(originals[0])), transparent=False) + 0.4
    says = "50 HEICs of 12 megapixels, no face in any: seconds that the rule for the stack counts"
    yield Figure("check.heic.rule.seconds", says, "s", (50 * rule,), goal=Goal(most=MOST_SECONDS))
    if shutil.which("cc") is None:
        return
    library, file = place.folder / "scalar.so", place.folder / "scalar.zip"
    source = Path(__file__).with_name("scalar.c")
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)  # noqa: S603  # our own words
    count = write_archive(file, "heic", list(originals), 10 * MB)
    runs = [place.run("ours", str(file), "faces", preload=str(library))["cpu"] for _ in range(3)]
    says = f"50 HEICs of 12 megapixels, decoded without vector code, faces included, reckoned from {count}: CPU"
    scaled = tuple(50 * run / count for run in runs)
    yield Figure("check.heic.scalar.cpu", says, "s", scaled, goal=Goal(most=MOST_SECONDS))


def _median(figures: Sequence[Figure], key: str) -> float:
    return next(each.median for each in figures if each.key == key)
