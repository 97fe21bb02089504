"""How long submit takes for a large dataset in a container with a function's CPU and memory, and in how much memory.

``python -m benchmarks.submit ZIP [SHARED_OBJECT]``, against ``lora-drop up --host 172.17.0.1``: SAM runs the
function that was built, with the template's memory and time limit; Docker gives it the CPU that Lambda
gives to that memory. The verdict is compared with the local check's. ``SHARED_OBJECT`` is preloaded:
``cc -shared -fPIC -o scalar.so benchmarks/scalar.c -ldl`` makes one without HEIC's vector code.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import yaml

from lora_drop.client.check import check_dataset
from lora_drop.dev.prices import MB_A_CPU
from lora_drop.local.deployment import client
from lora_drop.local.emulator import CREDENTIALS, REGION
from lora_drop.local.events import EVENTS
from lora_drop.local.stack import LocalStack
from lora_drop.local.state_file import RunningStack
from lora_drop.local.tools import command, environment

FUNCTION, CHECKED_FILES = "SubmitFunction", ("report.json", "status.json")
COUNTERS = {
    "cpu": ("cpuacct/docker/{}/cpuacct.usage", "system.slice/docker-{}.scope/cpu.stat"),
    "memory": (
        "memory/docker/{}/memory.max_usage_in_bytes",
        "system.slice/docker-{}.scope/memory.peak",
    ),
}


def docker(*words: str) -> str:
    """What docker prints."""
    return subprocess.run(  # noqa: S603  # fixed words
        ["docker", *words],  # noqa: S607  # wherever it is installed
        capture_output=True,
        text=True,
        check=True,
    ).stdout


class Watch(Thread):
    """Bounds the CPU of the container that starts next, and reads what it has used until it ends."""

    def __init__(self, cpus: float) -> None:
        super().__init__(daemon=True)
        self._cpus, self._before, self._over = cpus, set(docker("ps", "-q").split()), Event()
        self.used: dict[str, str] = {}

    def run(self) -> None:
        """Look ten times a second."""
        container = ""
        while not self._over.wait(0.1):
            if not container:
                new = set(docker("ps", "-q", "--no-trunc").split())
                new = {each for each in new if each[:12] not in self._before}
                container = min(new, default="")
                if container:
                    docker("update", f"--cpus={self._cpus:.2f}", "--cpu-shares=4096", container)
            for name, places in COUNTERS.items():
                for place in places if container else ():
                    with suppress(OSError):
                        file = Path("/sys/fs/cgroup", place.format(container))
                        self.used[name] = file.read_text().split("\n")[0].split()[-1]

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def template_of(local: LocalStack, preloaded: Path | None) -> tuple[Path, dict[str, Any]]:
    """The built template, one function of which preloads a library if that is wanted, and that function."""
    built = local.state / "build" / "template.yaml"
    whole = yaml.safe_load(built.read_text())
    function = whole["Resources"][FUNCTION]["Properties"]
    if preloaded is None:
        return built, function
    shutil.copy(preloaded, built.parent / function["CodeUri"] / preloaded.name)
    function["Environment"]["Variables"]["LD_PRELOAD"] = f"/var/task/{preloaded.name}"
    ours = built.with_name("preloaded.yaml")
    ours.write_text(yaml.safe_dump(whole))
    return ours, function


@contextmanager
def dropped(stack: RunningStack, archive: Path, key: str) -> Iterator[None]:
    """The dataset in its bucket, of which the deployed functions hear nothing."""
    functions = client(stack.emulator_url, "lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    s3, bucket = client(stack.emulator_url, "s3"), stack.outputs["DatasetsBucketName"]
    # The emulator passes over a range beside a version, and would send the whole dataset a hundred times.
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    with archive.open("rb") as body:
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"force": "true"})
    yield
    s3.delete_object(Bucket=bucket, Key=key)


def event_of(stack: RunningStack, key: str) -> str:
    """S3's notice of an object without a version, as the inbox queue hands it on."""
    event = json.loads((EVENTS / "s3_put_in_sqs.json").read_text())
    notice = json.loads(event["Records"][0]["body"])
    bucket = stack.outputs["DatasetsBucketName"]
    head = client(stack.emulator_url, "s3").head_object(Bucket=bucket, Key=key)
    described = notice["Records"][0]["s3"]
    described["bucket"] |= {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}
    described["object"] = {
        "key": key,
        "size": head["ContentLength"],
        "eTag": head["ETag"].strip('"'),
        "sequencer": described["object"]["sequencer"],
    }
    event["Records"] = [event["Records"][0] | {"body": json.dumps(notice)}]
    return json.dumps(event)


def invoked(
    local: LocalStack, template: Path, event: str, cpus: float
) -> tuple[str, float, dict[str, str]]:
    """What SAM says, in how many seconds, and what the container has used."""
    words = command(
        *("sam", "local", "invoke", FUNCTION, "--event", "-", "--template", str(template)),
        *("--env-vars", str(local.sam_environments), "--skip-pull-image", "--region", REGION),
        *("--parameter-overrides", f"Architecture={architecture()} AwsEndpointUrl=here"),
    )
    watch, began = Watch(cpus), time.monotonic()
    watch.start()
    done = subprocess.run(  # noqa: S603  # our own words
        words,
        input=event,
        env=environment(**CREDENTIALS, AWS_DEFAULT_REGION=REGION),
        capture_output=True,
        text=True,
        check=False,
    )
    watch.end()
    return done.stdout + done.stderr, time.monotonic() - began, watch.used


def architecture() -> str:
    """Lambda's name of this machine's processor."""
    return "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"


def files_of(stack: RunningStack, key: str) -> list[dict[str, Any]]:
    """The report and the status of the job of this dataset."""
    s3, bucket = client(stack.emulator_url, "s3"), stack.outputs["ModelsBucketName"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=key.removesuffix(".zip") + "/")
    names = {row["Key"].rsplit("/", 1)[-1]: row["Key"] for row in listed.get("Contents", ())}
    return [
        json.load(s3.get_object(Bucket=bucket, Key=names[name])["Body"]) if name in names else {}
        for name in CHECKED_FILES
    ]


def codes(problems: Sequence[Any]) -> list[str]:
    """The codes of problems, sorted."""
    return sorted(each["code"] for each in problems)


def main(archive: Path, preloaded: Path | None = None) -> None:
    """Run it once, and print a line of JSON."""
    local = LocalStack(Path(os.environ["LORA_DROP_HOME"]))
    stack = local.running()
    if stack is None:
        raise SystemExit("Run lora-drop up --host 172.17.0.1 with LORA_DROP_HOME first.")
    template, function = template_of(local, preloaded)
    cpus = function["MemorySize"] / MB_A_CPU
    key = f"benchmark-{int(time.time())}.zip"
    with dropped(stack, archive, key):
        said, seconds, used = invoked(local, template, event_of(stack, key), cpus)
        report, status = files_of(stack, key)
    here = check_dataset(archive, key=key).model_dump(mode="json")
    row = {
        "cpus": round(cpus, 2),
        "limit": [function["MemorySize"], function["Timeout"]],
        "seconds": round(seconds, 1),
        "cpu_seconds": round(int(used.get("cpu", 0)) / 1e9, 1),
        "peak_mb": round(int(used.get("memory", 0)) / 1024**2),
        "check_seconds": report.get("seconds"),
        "status": status.get("status") or said[-500:],
        "same": report.get("verdict") == here["verdict"]
        and all(codes(report[kind]) == codes(here[kind]) for kind in ("errors", "warnings")),
        "verdict": [report.get("verdict"), here["verdict"], here["seconds"]],
        "errors": [codes(each.get("errors", ())) for each in (report, here)],
    }
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
