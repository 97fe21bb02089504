"""The files of a training without a stack, on this machine: whole and what they say they are, or not at all."""

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from lora_drop.client.direct_errors import AGAIN
from lora_drop.client.errors import CommandError
from lora_drop.client.method_advice import method_advice
from lora_drop.client.result_files import SavedFile, kept_files, write_record
from lora_drop.fal.hosts import REQUESTS_PAGE, hosts_in
from lora_drop.jobs.artifacts import Artifact, artifacts_in, has_weights, is_weights
from lora_drop.jobs.errors import (
    HostNotAllowedError,
    LoraDropError,
    ResultGoneError,
    ResultInvalidError,
)
from lora_drop.results.validation import check_for
from lora_drop.webhooks import TrainingResult

HOSTS = "fal.media"  # as the stack's functions have it
CHUNK = 4 * 1024**2
PART = re.compile(r"\..+\.(\d+)(?:-[0-9a-f]{32})?\.part", re.ASCII)  # by the number of its process
MOST_SECONDS = 3600.0  # for one file
# fal's FAQ: files are kept "at least 7 days by default".
ADVICE = (
    "The training is done and paid, and fal keeps files for at least 7 days: run the same command again, which "
    "pays nothing and fetches them."
)

type OnBytes = Callable[[int, int], None]
"""(bytes that are there, bytes in all)"""


@dataclass(frozen=True, slots=True)
class DirectResult(TrainingResult):
    """The files of a training without a stack; ``about`` is what this machine knows of the order."""

    about: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @method_advice()
    def download(
        self, folder: Path | str, *, on_bytes: OnBytes = lambda *_: None
    ) -> tuple[Path, ...]:
        """Fetch the LoRA and its configuration, with ``job.json``; one folder for each training.

        They are looked into and hashed as they come, and what is there already is kept. Raises CommandError for a
        folder with other files in it, and for files that cannot be had or are not valid.
        """
        where = Path(folder)
        saved = save_result(self, where, about=self.about, on_bytes=on_bytes)
        return tuple(where / each.name for each in saved)


def save_result(
    result: TrainingResult,
    folder: Path,
    *,
    about: Mapping[str, Any] | None = None,
    on_bytes: OnBytes = lambda *_: None,
) -> tuple[SavedFile, ...]:
    """Fetch the LoRA and its configuration into a folder, with ``job.json``: the request, ``about``, SHA-256.

    Every file is looked into first (its size, the safetensors format). A second call keeps what is there.
    Raises CommandError for a folder with other files in it, and for files that cannot be had or are not valid.
    """
    found = artifacts_in({file.output: asdict(file) for file in result.files})
    if not has_weights(found):
        raise CommandError(
            f"Request {result.request_id} has no LoRA among its files. Look at it at fal: "
            f"{REQUESTS_PAGE}/{result.request_id}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kept := kept_files(folder, result.request_id, [each.name for each in found]):
            return kept
        with _parts(folder, found) as parts:
            files: tuple[SavedFile, ...] = ()
            show = _Total(on_bytes, [each.size or 0 for each in found])
            for number, (artifact, part) in enumerate(zip(found, parts, strict=True)):
                files += (_fetched(artifact, part, show.of(number)),)
            said = {"request_id": result.request_id, **(about or {})}
            write_record(folder, {**said, "files": [asdict(file) for file in files]})
            # A process that ends here has the record and no file: the next one fetches the same again.
            for file, part in zip(files, parts, strict=True):
                part.replace(folder / file.name)
    except ResultInvalidError as invalid:
        raise CommandError(
            f"fal's result is not valid: {invalid} Request {result.request_id} is paid; "
            "write to fal's support with its id."
        ) from invalid
    except ResultGoneError as gone:
        raise ResultGoneError(
            f"{gone}, so fal no longer has this result at {_address(found)}. {AGAIN}"
        ) from gone
    except HostNotAllowedError as foreign:
        raise CommandError(_foreign(foreign, found)) from foreign
    except (OSError, LoraDropError) as error:
        raise CommandError(
            f"The files could not be fetched: {error}. {ADVICE} The LoRA's address: {_address(found)}"
        ) from error
    return files


def _address(found: Sequence[Artifact]) -> str:
    return next(each.url for each in found if is_weights(each))


def _foreign(error: HostNotAllowedError, found: Sequence[Artifact]) -> str:
    """Return what to do about files on a host that nothing is fetched from."""
    hosts = sorted({urlsplit(each.url).netloc for each in found})
    return (
        f"The files could not be fetched: {error}. The training is done and paid. The LoRA's address: "
        f"{_address(found)}. If you trust it, run the same command again, which pays nothing, with "
        f"ARTIFACT_HOSTS={','.join([HOSTS, *hosts])}, or fetch the file by hand; fal keeps files for at least 7 days"
    )


@dataclass(frozen=True, slots=True)
class _Total:
    """Counts the bytes of all files together."""

    show: OnBytes
    sizes: Sequence[int]

    def of(self, number: int) -> OnBytes:
        """Return what is called with the bytes of one of them."""
        before, total = sum(self.sizes[:number]), sum(self.sizes)

        def show(at: int, size: int) -> None:
            self.show(before + at, max(total, before + size))

        return show


def _is_dead(process: int) -> bool:
    if os.name != "posix":
        return False  # os.kill ends a process elsewhere
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


@contextmanager
def _parts(folder: Path, artifacts: Sequence[Artifact]) -> Iterator[list[Path]]:
    """Yield a file of its own for each, and remove those that killed processes have left."""
    for left in folder.glob(".*.part"):
        if (name := PART.fullmatch(left.name)) and _is_dead(int(name[1])):
            left.unlink(missing_ok=True)
    mine = f"{os.getpid()}-{uuid4().hex}"
    parts = [folder / f".{each.name}.{mine}.part" for each in artifacts]
    try:
        yield parts
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _fetched(artifact: Artifact, part: Path, on_bytes: OnBytes) -> SavedFile:
    """Copy one file; its bytes are judged as they come."""
    from lora_drop.adapters.checked_network import CheckedNetwork  # noqa: PLC0415
    from lora_drop.adapters.download import CdnFiles  # noqa: PLC0415

    own = os.environ.get("ARTIFACT_HOSTS", "")
    source = CdnFiles(hosts_in(own or HOSTS), network=CheckedNetwork(private=bool(own)))
    digest, at, buffer = hashlib.sha256(), 0, memoryview(bytearray(CHUNK))
    with source.open(artifact, until=monotonic() + MOST_SECONDS) as opened, part.open("wb") as copy:
        size = artifact.size if opened.size is None else opened.size
        check = check_for(artifact, size)
        while size is None or at < size:
            wanted = CHUNK if size is None else min(CHUNK, size - at)
            count = opened.read(at, buffer[:wanted])
            data = bytes(buffer[:count])
            check.feed(data)
            digest.update(data)
            copy.write(data)
            at += count
            on_bytes(at, size or at)
            if count < wanted:
                break
        check.finish(at)
        copy.flush()
        os.fsync(copy.fileno())
    if artifact.size not in (None, at):  # what it holds is whole, which is what counts
        warnings.warn(
            f"{artifact.name} is valid and has {at:,} bytes, though fal says {artifact.size:,}",
            stacklevel=2,
        )
    return SavedFile(artifact.name, at, digest.hexdigest(), artifact.url, artifact.content_type)
