"""One copy by one program, in a process of its own: how long it took, and how much memory."""

import json
import os
import resource
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.s3_client import s3_client
from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.jobs.artifacts import Artifact, Upload
from lora_drop.services.copy import Copier
from lora_drop.services.copy_attempt import CopyRequest

KIB = 1024


class UploadLog:
    """Unfinished copies, as the job keeps them."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}

    def find(self, name: str) -> Upload | None:
        """The unfinished copy of this name."""
        return self._uploads.get(name)

    def add(self, upload: Upload) -> None:
        """Keep it."""
        self._uploads[upload.name] = upload

    def drop(self, upload: Upload) -> None:
        """Forget it."""
        del self._uploads[upload.name]

    def renew(self) -> None:
        """No other worker is there."""


def ours(url: str) -> Callable[[str], Any]:
    """Parts on their way while others are stored, checked, hashed and confirmed."""
    copier = Copier(
        S3Copies(s3_client(), "models"),
        CdnFiles([url.split("/")[2]], network=CheckedNetwork(private=True)),
    )

    def copy(name: str) -> Any:
        artifact = Artifact(name=name, url=url)
        return copier.copy(
            CopyRequest(artifact, "ours/", UploadLog(), until=time.monotonic() + 3600)
        )

    return copy


def upload_fileobj(url: str) -> Callable[[str], Any]:
    """boto3's own upload of a stream, as the examples have it: neither checked nor hashed."""
    client = boto3.client("s3")
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])

    def copy(name: str) -> Any:
        with urllib.request.urlopen(url, context=context) as stream:  # noqa: S310  # our own
            client.upload_fileobj(stream, "models", f"upload_fileobj/{name}")

    return copy


def at_rest() -> int:
    """The memory that this process has now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(which: str, url: str, small: str) -> None:
    """Copy a small file, so that all is loaded and connected once, then the large one."""
    make = {"ours": ours, "upload_fileobj": upload_fileobj}[which]
    make(small)("config.json")
    copy = make(url)
    rest = at_rest()
    used, begun = time.process_time(), time.monotonic()
    copy("lora.safetensors")
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    cpu = time.process_time() - used
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": peak - rest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
