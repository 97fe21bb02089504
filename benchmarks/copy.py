"""How fast a result gets from a CDN into a bucket, and in how much memory, beside what people would use instead."""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from awscrt.checksums import crc64nvme

from benchmarks.copy_ends import Ends, Place, ends
from benchmarks.figures import Figure, Goal, Topic
from benchmarks.growth import exponent
from benchmarks.memory import peak
from benchmarks.peers import environment, program
from lora_drop.simulator.lora import WrittenFile, write_lora

BUCKET = "models"
MIB = 2**20
MEMORY, RUNS = 48, 5  # MiB above rest, at any size
READS = 3  # of a file, to nowhere: for the reason of a missed goal
LOOK = 0.005  # seconds between two looks at another program
OURS, READING = "ours", "reading"
PYTHON = ("upload_fileobj", "obstore_put", "crt_put")
# From 16 MiB on rclone reads in parts of this size over four connections; by default from 256 MiB on.
RCLONE = {
    "rclone_copyurl": ("copyurl", "{cdn}/{file}"),
    "rclone_copyto": ("copyto", ":http,url='{cdn}':{file}"),
    "rclone_copyto_parts": (
        *("copyto", "--multi-thread-cutoff", "16Mi", "--multi-thread-chunk-size", "16Mi"),
        ":http,url='{cdn}':{file}",
    ),
    # As many connections as ours.
    "rclone_copyto_eight": (
        *("copyto", "--multi-thread-cutoff", "5Mi", "--multi-thread-chunk-size", "5Mi"),
        *("--multi-thread-streams", "8", ":http,url='{cdn}':{file}"),
    ),
}
SAYS = {
    OURS: "lora-drop",
    "upload_fileobj": "boto3 `upload_fileobj` of urllib",
    "obstore_put": "obstore, put of a GET's stream",
    "crt_put": "AWS CRT's S3 client, put of a stream",
    "rclone_copyurl": "`rclone copyurl`",
    "rclone_copyto": "`rclone copyto`",
    "rclone_copyto_parts": "`rclone copyto` in parts of 16 MiB over 4 connections",
    "rclone_copyto_eight": "`rclone copyto` in parts of 5 MiB over 8 connections",
}
HOW = (
    "A safetensors file from nginx (TLS, ranges, strong ETags) into SeaweedFS over TLS, each program in a process of its own and in turn; with limits, a "
    "connection from the CDN has 25 MB/s and one to S3 50 MB/s, and ours has up to eight to the CDN and three to S3, rclone in parts over eight connections eight to each. Every program copies a small file before its clock starts; rclone is timed from its start to its end, less what a copy of a small file takes. "
    "Ours hashes (SHA-256), checks the header, compares CRC64NVME of every part and of the whole and can go on after a crash; the peers do none of it but the CRT's checksum. "
    "The size of what each has stored is compared with the file's, after its first run the CRC64NVME too. Five runs. "
    "With limits, only the peers with several connections, and the best one without. Memory: ours and the Python peers' above rest, rclone's of the whole process."
)


@dataclass(frozen=True, slots=True)
class Case:
    """One table's worth: a file, ends, and who copies how often."""

    name: str
    says: str
    megabytes: int
    programs: Sequence[str]

    @property
    def limited(self) -> bool:
        """Return whether each connection has its limit."""
        return self.name.startswith("limited")

    @property
    def goal(self) -> Goal | None:
        """Return the goal: ours by the fastest peer's; none for a file that is there for the exponent."""
        if self.megabytes in SMALLER:
            return None
        return Goal(most=0.6 if self.limited else 0.95)


RCLONE_AT_FULL_SPEED = [name for name in RCLONE if name != "rclone_copyto_eight"]
PARTS, EIGHT = "rclone_copyto_parts", "rclone_copyto_eight"
SMALLER = (16, 50)  # MB: for the exponent
CASES = (
    *(Case(f"full.{mb}", f"{mb} MB", mb, (OURS, "rclone_copyurl")) for mb in SMALLER),
    Case("full.145", "145 MB", 145, (OURS, *PYTHON, *RCLONE_AT_FULL_SPEED)),
    Case("limited.145", "145 MB, with limits", 145, (OURS, PARTS, EIGHT, "rclone_copyurl")),
)
LARGE = (
    Case("full.1500", "1.5 GB", 1500, (OURS, PARTS, "rclone_copyurl")),
    Case("limited.1500", "1.5 GB, with limits", 1500, (OURS, EIGHT)),
)
RANKS = {16: 3, 50: 9, 145: 26, 1500: 267}  # of a FLUX LoRA of about so many MB


@dataclass(slots=True)
class Bench:
    """The ends, the files with their CRC64NVME and the CPU seconds of SHA-256 and CRC64NVME alone, and what was measured."""

    place: Place
    files: Mapping[int, WrittenFile]
    sums: Mapping[int, int]
    hashing: Mapping[int, float]
    runs: dict[tuple[str, str], list[Mapping[str, Any]]] = field(default_factory=dict)
    reading: dict[str, float] = field(default_factory=dict)  # CPU seconds of reading alone, by case

    def measure(self, case: Case) -> None:
        """Run a case; raises SystemExit where a program has lost a byte."""
        for number in range(RUNS):
            turn = number % len(case.programs)
            with self._bucket() as client:
                for name in (*case.programs[turn:], *case.programs[:turn]):
                    measured = self._run(case, name)
                    self._compare(case, name, measured, client)
                    self.runs.setdefault((case.name, name), []).append(measured)
        if case.goal is not None:
            target, file = self._ends(case), self.files[case.megabytes].path.name
            read = [self._python(READING, target, file, READING)["cpu"] for _ in range(READS)]
            self.reading[case.name] = statistics.median(read)

    def _ends(self, case: Case) -> Ends:
        return self.place.limited if case.limited else self.place.full

    @contextmanager
    def _bucket(self) -> Iterator[Any]:
        """Have a new bucket, in which something lies already; its space is free again at once when it goes."""
        session = boto3.Session("test", "test", region_name="us-east-1")
        client = session.client("s3", endpoint_url=self.place.full.s3, verify=str(self.place.ca))
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="first", Body=b"{}")
        yield client
        for row in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=row["Key"])
        client.delete_bucket(Bucket=BUCKET)

    def _run(self, case: Case, name: str) -> dict[str, Any]:
        target = self._ends(case)
        run = self._rclone if name in RCLONE else self._python
        before = self.place.cpu()
        measured = run(name, target, self.files[case.megabytes].path.name, f"{name}.safetensors")
        return {**measured, "ends": self.place.cpu() - before}

    def _compare(self, case: Case, name: str, measured: Mapping[str, Any], client: Any) -> None:
        """Compare what is stored with the file, after a program's first run byte by byte."""
        file, key = self.files[case.megabytes], f"{name}.safetensors"
        stored = client.get_object(Bucket=BUCKET, Key=key)
        same = stored["ContentLength"] == file.size
        if (case.name, name) not in self.runs:
            same = same and _crc(stored["Body"].read) == self.sums[case.megabytes]
        stored["Body"].close()
        if not same or measured.get("sha256") not in (None, "", file.sha256):
            sys.exit(f"{name} has stored other bytes")

    def _environment(self, target: Ends) -> Mapping[str, str]:
        ca = str(self.place.ca)
        return environment(
            AWS_ENDPOINT_URL_S3=target.s3, AWS_CA_BUNDLE=ca, SSL_CERT_FILE=ca,
            RCLONE_CONFIG="/dev/null", RCLONE_CA_CERT=ca, RCLONE_CONFIG_S3_TYPE="s3",
            RCLONE_CONFIG_S3_PROVIDER="SeaweedFS", RCLONE_CONFIG_S3_ENDPOINT=target.s3,
            RCLONE_CONFIG_S3_ENV_AUTH="true", RCLONE_S3_NO_CHECK_BUCKET="true",
            RCLONE_S3_DISABLE_HTTP2="true",  # as at S3, which has none: each transfer has a connection of its own
        )  # fmt: skip

    def _python(self, name: str, target: Ends, file: str, key: str) -> dict[str, Any]:
        own = name in (OURS, READING)
        python = sys.executable if own else program("python")
        addresses = (f"{target.cdn}/{file}", f"{target.cdn}/config.json")
        command = [python, "-m", "benchmarks.copy_run", name, *addresses, key]
        given = self._environment(target)
        if own:
            given = {**given, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, env=given, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
        measured: dict[str, Any] = json.loads(done.stdout)
        return measured

    def _rclone(self, name: str, target: Ends, file: str, key: str) -> dict[str, Any]:
        small = self._timed(name, target, "config.json", f"{key}.json")
        large = self._timed(name, target, file, key)
        return {
            "seconds": large["seconds"] - small["seconds"],
            "cpu": large["cpu"] - small["cpu"],
            "memory": large["memory"],
        }

    def _timed(self, name: str, target: Ends, file: str, key: str) -> dict[str, Any]:
        *options, source = (each.format(cdn=target.cdn, file=file) for each in RCLONE[name])
        command = [program("rclone"), *options, source, f"s3:{BUCKET}/{key}"]
        begun = time.monotonic()
        with subprocess.Popen(command, env=self._environment(target)) as process:  # noqa: S603
            memory = 0
            while True:
                memory = max(memory, peak(process.pid))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                time.sleep(LOOK)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{name} ended with {process.returncode}")
        return {
            "seconds": time.monotonic() - begun,
            "cpu": used.ru_utime + used.ru_stime,
            "memory": memory,
        }

    def figures(self, case: Case) -> Iterator[Figure]:
        """Yield the figures of a case: seconds, ours by the fastest peer's, then CPU and memory."""
        seconds = {name: self._values(case, name, "seconds") for name in case.programs}
        fastest = min(case.programs[1:], key=lambda name: statistics.median(seconds[name]))
        for name, runs in seconds.items():
            key, says = f"copy.{case.name}.{name}", f"{case.says}: {SAYS[name]}"
            if name == OURS:
                peer = f"copy.{case.name}.{fastest}.seconds"
                ratio = statistics.median(runs) / statistics.median(seconds[fastest])
                why = (
                    "" if case.goal is None or case.goal.holds(ratio) else self._why(case, fastest)
                )
                yield Figure(f"{key}.seconds", says, "s", runs, peer=peer, goal=case.goal, why=why)
            else:
                yield Figure(f"{key}.seconds", says, "s", runs)
        for name in case.programs:
            key, says = f"copy.{case.name}.{name}", f"{case.says}: {SAYS[name]}"
            yield Figure(f"{key}.cpu", f"{says}, CPU", "s", self._values(case, name, "cpu"))
            memory = tuple(value / MIB for value in self._values(case, name, "memory"))
            most = Goal(most=MEMORY) if name == OURS else None
            yield Figure(f"{key}.memory", f"{says}, memory", "MiB", memory, goal=most)

    def _values(self, case: Case, name: str, what: str) -> tuple[float, ...]:
        return tuple(run[what] for run in self.runs[case.name, name])

    def _why(self, case: Case, fastest: str) -> str:
        """Return where the time of ours and of the fastest peer goes, in CPU seconds."""
        parts = (
            f"{SAYS[name]} {statistics.median(self._values(case, name, 'cpu')):.2f} s and both ends "
            f"{statistics.median(self._values(case, name, 'ends')):.2f} s"
            for name in (OURS, fastest)
        )
        read, hashed = self.reading[case.name], self.hashing[case.megabytes]
        own = f"of ours reading over TLS alone {read:.2f} s, SHA-256 and CRC64NVME alone {hashed:.2f} s, each by itself"
        return f"CPU of a copy: {'; '.join(parts)}, on the same cores; {own}"


def _crc(read: Callable[[int], bytes]) -> int:
    """Return the CRC64NVME of what can be read."""
    crc = 0
    while piece := read(MIB):
        crc = crc64nvme(piece, crc)
    return crc


def measure() -> Topic:
    """Measure every case but the large ones."""
    figures = measured(CASES)
    return Topic("copy", "Copying a result", HOW, [*figures, _exponent(figures)])


def _exponent(figures: Sequence[Figure]) -> Figure:
    """Return how ours grows with the file, at full speed."""
    cases = [case for case in CASES if not case.limited]
    medians = {each.key: each.median for each in figures}
    seconds = {each.megabytes: medians[f"copy.{each.name}.{OURS}.seconds"] for each in cases}
    says = f"{', '.join(case.says for case in cases)}: seconds of {SAYS[OURS]}"
    fitted = exponent(seconds)
    return Figure("copy.full.exponent", says, "exponent", (fitted,), goal=Goal(most=1.05))


def measured(cases: Sequence[Case]) -> Sequence[Figure]:
    """Return the figures of these cases."""
    with tempfile.TemporaryDirectory(prefix="copy-") as temporary:
        folder, files = Path(temporary), Path(temporary, "files")
        files.mkdir()
        (files / "config.json").write_bytes(b"{}")
        written, sums, hashing = {}, {}, {}
        for megabytes in dict.fromkeys(case.megabytes for case in cases):
            path = files / f"{megabytes}.safetensors"
            written[megabytes] = write_lora(path, rank=RANKS[megabytes], seed="copy", metadata={})
            began = time.process_time()
            with path.open("rb") as file:
                sums[megabytes] = _crc(file.read)
                file.seek(0)
                hashlib.file_digest(file, "sha256")
            hashing[megabytes] = time.process_time() - began
        with ends(folder, files) as place:
            bench = Bench(place, written, sums, hashing)
            for case in cases:
                bench.measure(case)
    return [figure for case in cases for figure in bench.figures(case)]
