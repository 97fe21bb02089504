"""How fast a LoRA gets from a CDN to a bucket, and in how much memory, beside boto3's own upload.

``python -m benchmarks.copy [RUNS]``: both in processes of their own, in turn, against the same two
ends; once as fast as this machine can, and once with a CDN whose connections have a limit.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from awscrt.checksums import crc64nvme

from lora_drop.simulator.lora import write_lora

MB = 1_000_000
RANKS = {90: 16, 500: 89}  # of a FLUX LoRA of about so many MB
# Of one connection to the CDN; the bucket is as fast as it can be, as one in the same region is.
RATES = {"as fast as it goes": 0, "the CDN at 25 MB/s a connection": 25 * MB}
PROGRAMS = ("ours", "upload_fileobj")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the ends of one measurement are."""

    url: str
    small: str
    bucket: str
    ca: Path

    def run(self, program: str) -> dict[str, float]:
        """One copy by one program; raises CalledProcessError."""
        env = {
            **os.environ,
            "AWS_ENDPOINT_URL_S3": self.bucket,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SSL_CERT_FILE": str(self.ca),
        }
        command = [sys.executable, "-m", "benchmarks.copy_run", program, self.url, self.small]
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)  # noqa: S603
        measured: dict[str, float] = json.loads(done.stdout)
        return measured

    def stored(self) -> dict[str, list[int]]:
        """Size and CRC64NVME of everything in the bucket, by its path."""
        with urllib.request.urlopen(self.bucket) as answer:  # noqa: S310  # our own
            found: dict[str, list[int]] = json.load(answer)
        return found


@contextmanager
def end(*arguments: str) -> Iterator[int]:
    """One end of the copy, as its own process; its port."""
    command = [sys.executable, "-m", "benchmarks.copy_ends", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout  # noqa: S101  # it was asked for
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def places(folder: Path, file: Path, rate: int) -> Iterator[Place]:
    """A CDN with this file and one with a small one, and a bucket."""
    authority = trustme.CA()
    ca, certificate, small = folder / "ca.pem", folder / "cdn.pem", folder / "config.json"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    small.write_bytes(b"{}")
    with ExitStack() as ends:
        ports = [
            ends.enter_context(end("cdn", str(rate), str(each), str(certificate)))
            for each in (file, small)
        ]
        bucket = ends.enter_context(end("bucket", "0"))
        large, little = (f"https://127.0.0.1:{port}/files/a" for port in ports)
        yield Place(large, little, f"http://127.0.0.1:{bucket}", ca)


def measure(place: Place, file: Path, runs: int) -> dict[str, list[dict[str, float]]]:
    """Each program so many times, in turn; raises SystemExit when one has lost a byte."""
    found: dict[str, list[dict[str, float]]] = {program: [] for program in PROGRAMS}
    expected = [file.stat().st_size, checksum(file)]
    for _ in range(runs):
        for program in PROGRAMS:
            found[program].append(place.run(program))
    stored = place.stored()
    for program in PROGRAMS:
        if stored[f"/models/{program}/lora.safetensors"] != expected:
            sys.exit(f"{program} has stored other bytes")
    return found


def checksum(file: Path) -> int:
    """CRC64NVME of a file."""
    crc = 0
    with file.open("rb") as opened:
        while piece := opened.read(MB):
            crc = crc64nvme(piece, crc)
    return crc


def table(size: int, found: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """A line per program: medians."""
    for program, runs in found.items():
        middle: dict[str, Any] = {
            name: statistics.median(run[name] for run in runs) for name in runs[0]
        }
        yield (
            f"  {program:15} {middle['seconds']:7.2f} s {size / MB / middle['seconds']:7.0f} MB/s"
            f" {middle['cpu']:7.2f} s CPU {middle['memory'] / 2**20:7.1f} MiB above rest"
        )


def main(runs: int = 3) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="copy-") as temporary:
        folder = Path(temporary)
        for megabytes, rank in RANKS.items():
            file = folder / f"{megabytes}.safetensors"
            size = write_lora(file, rank=rank, seed="copy", metadata={}).size
            for says, rate in RATES.items():
                with places(folder, file, rate) as place:
                    print(f"{size / MB:.0f} MB, {says} (median of {runs})")
                    for line in table(size, measure(place, file, runs)):
                        print(line, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
