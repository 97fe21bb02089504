"""What a training of a stack takes, typed, and the datasets that it takes from anywhere."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypedDict
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.local_files import sha256_of
from lora_drop.client.direct_dataset import HOSTED, download_dataset, local_path
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import NEVER_CONNECTED, Stack
from lora_drop.datasets.dataset import MAX_DATASET_BYTES

S3 = "s3://"
NAMELESS = "dataset.zip"

type Dataset = Path | str | bytes
"""A folder or a ZIP on this machine, a ZIP's bytes, or its s3:// or https:// address."""

type LazyStack = Callable[[], Stack]


class Inputs(TypedDict, total=False):
    """The trainers' inputs besides the dataset, and who trains; what is None is not given.

    The first eight are the portrait trainer's (https://fal.ai/models/fal-ai/flux-lora-portrait-trainer/api). A
    ``resume_from_checkpoint`` is an address or the id of a job of the stack.
    """

    trigger_phrase: str | None
    learning_rate: float | None
    steps: int | None
    multiresolution_training: bool | None
    subject_crop: bool | None
    create_masks: bool | None
    data_archive_format: Literal["zip"] | None
    resume_from_checkpoint: str | None
    trainer: str | None
    preset: Literal["portrait", "style", "fast", "quality"] | None
    is_style: bool | None
    training_style: Literal["subject", "style"] | None
    face_crop: bool | None
    training_type: Literal["content", "style", "balanced"] | None
    output_lora_format: Literal["fal", "comfy"] | None
    resolution: int | str | None


def given(inputs: Inputs) -> dict[str, object]:
    """Return what is given at all."""
    return {name: value for name, value in inputs.items() if value is not None}


def local_dataset(source: Dataset, folder: Path, stack: LazyStack) -> Path:
    """Return the dataset on this machine, fetched into the folder where it lies elsewhere; raises CommandError."""
    if isinstance(source, bytes):
        target = folder / NAMELESS
        target.write_bytes(source)
        return target
    if isinstance(source, str) and source.startswith(S3):
        return _from_s3(source, folder, stack())
    if isinstance(source, str) and source.startswith(HOSTED):
        try:
            target = folder / _name_of(urlsplit(source).path)
            download_dataset(source, target)
        except ValueError as error:
            raise CommandError(f"{source!r} is no address of a dataset: {error}.") from error
        return target
    return local_path(source)


def fingerprint(path: Path) -> str | None:
    """Return what tells whether a dataset on this machine has changed; None where it cannot be read.

    A file's bytes; a folder's names, with the size and the time of the last change of each.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for each in sorted(path.rglob("*")):
                found = each.stat()
                about = (str(each.relative_to(path)), found.st_size, found.st_mtime_ns)
                digest.update(repr(about).encode(errors="surrogateescape"))
            return digest.hexdigest()
        return sha256_of(path)
    except (OSError, ValueError):
        return None


def _from_s3(address: str, folder: Path, stack: Stack) -> Path:
    bucket, _, key = address.removeprefix(S3).partition("/")
    target, s3 = folder / _name_of(key), stack.client("s3")
    try:
        size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        if size > MAX_DATASET_BYTES:
            raise CommandError(
                f"The dataset at {address} is larger than {MAX_DATASET_BYTES} bytes."
            )
        s3.download_file(bucket, key, str(target))
    except NEVER_CONNECTED as error:
        raise stack.unreachable(f"{address} cannot be fetched", error) from error
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"{address} cannot be fetched: {error}") from error
    return target


def _name_of(path: str) -> str:
    """Return the last name of an address as the name of a ZIP here."""
    name = os.path.basename(unquote(path).replace("\\", "/"))  # noqa: PTH119  # no path of this machine
    return name if name.strip(". ") else NAMELESS
