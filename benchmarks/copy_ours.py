"""Our copy: hashed, its header checked, in parts that another run could go on from, and confirmed by S3's checksum."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.s3_client import s3_client
from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.jobs.artifacts import Artifact, Upload
from lora_drop.services.copy import PART, Copier
from lora_drop.services.copy_attempt import CopyRequest
from lora_drop.services.prefetch import ARRIVING, Arrivals

BUCKET = "models"
COPIES = S3Copies(s3_client(), BUCKET)


class UploadLog:
    """Unfinished copies, as the job keeps them."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}

    def find(self, name: str) -> Upload | None:
        """Return the unfinished copy of this name."""
        return self._uploads.get(name)

    def add(self, upload: Upload) -> None:
        """Keep it."""
        self._uploads[upload.name] = upload

    def drop(self, upload: Upload) -> None:
        """Forget it."""
        del self._uploads[upload.name]

    def renew(self) -> None:
        """No other worker is there."""


def reading(url: str) -> Callable[[str], None]:
    """Return what reads this file as our copy does, and does nothing else."""
    source = CdnFiles([url.split("/")[2]], network=CheckedNetwork(private=True))

    def read(key: str) -> None:
        with (
            ThreadPoolExecutor(ARRIVING) as ahead,
            source.open(Artifact(name=key, url=url), until=time.monotonic() + 3600) as file,
        ):
            arrivals = Arrivals(file, PART, (), ahead)
            while arrivals.waiting:
                arrivals.give_back(arrivals.take()[1])

    return read


def ours(url: str) -> Callable[[str], str]:
    """Return the copy of this file to a key."""
    source = CdnFiles([url.split("/")[2]], network=CheckedNetwork(private=True))
    copier = Copier(COPIES, source)

    def copy(key: str) -> str:
        artifact = Artifact(name=key, url=url)  # checked as its name says
        request = CopyRequest(artifact, "", UploadLog(), until=time.monotonic() + 3600)
        return copier.copy(request).sha256

    return copy
