"""A dataset for a training without a stack: checked here, mended here, and where fal is to get it."""

import base64
import binascii
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx

from lora_drop.adapters.local_files import open_range, sha256_of
from lora_drop.client.archive import Archive, archive_of
from lora_drop.client.check import local_checker, said_here
from lora_drop.client.direct_addresses import unreachable
from lora_drop.client.direct_errors import rejected
from lora_drop.client.errors import CommandError, DatasetRejectedError
from lora_drop.client.face_check import FaceCheck
from lora_drop.datasets.archives import RangedReader, members_of
from lora_drop.datasets.clean_copy import copied
from lora_drop.datasets.dataset import MAX_DATASET_BYTES, content_digest
from lora_drop.datasets.report import Report, Verdict
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs import errors
from lora_drop.jobs.errors import DatasetUnreadableError
from lora_drop.services.check import Checker, DatasetInput
from lora_drop.services.mend import Mender

DATA = "data:"
ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
MOST_INLINE = 100_000  # characters; fal advises against data URIs of more than a few KB
HOSTED = ("https://", "http://")
TIMEOUT = httpx.Timeout(30.0)
MOST_SECONDS = 30 * 60.0  # for a whole dataset; TIMEOUT begins again with every byte

type DatasetSource = Path | str | bytes
"""A ZIP or a folder on this machine, a ZIP's bytes, its https address, or a data URI in base64."""


@dataclass(frozen=True, slots=True)
class PreparedDataset:
    """A dataset that can be trained on; ``file`` is what fal is to get, and ``given`` where it has it already.

    ``sha256`` is the checksum of ``file``, in hex. ``content`` is the same for every archive with which a training
    would be the same, as in ``content_digest``; a trigger phrase that was made up does not count.
    """

    report: Report
    parameters: TrainingParameters
    file: Path
    given: str | None
    sha256: str
    content: str


class DatasetReader:
    """A RangedReader that is read from its begin to its end, and the checksum of what was read, in hex."""

    def __init__(self, file: RangedReader) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """In bytes."""
        return self._file.size

    @property
    def sha256(self) -> str:
        """Of all that was read so far."""
        return self._digest.hexdigest()

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file; raises what the reader raises."""
        data = self._file.read(offset, length)
        self._digest.update(data)
        return data


@contextmanager
def prepared_dataset(
    source: DatasetSource,
    *,
    application: str,
    metadata: Mapping[str, str],
    faces: FaceCheck | None = None,
) -> Iterator[PreparedDataset]:
    """Check a dataset and make its clean copy where it needs one, for as long as the block lasts.

    ``faces`` as for ``check_dataset``.
    Raises DatasetRejectedError before anything is sent, and CommandError for what cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="lora-drop-") as folder:
        path, given = _local(source, Path(folder))
        checker = local_checker(prepares=True, faces=faces)
        with _archive(path) as archive:
            try:
                prepared = _prepared(
                    *(checker, archive, path, given, Path(folder), application, metadata)
                )
            except (OSError, DatasetUnreadableError) as unreadable:
                raise CommandError(f"The dataset cannot be read: {unreadable}.") from unreadable
            yield prepared


@contextmanager
def _archive(path: Path) -> Iterator[Archive]:
    """Yield the dataset as a ZIP; a folder with too much in it is rejected with a report, as others are."""
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(archive_of(path))
        except errors.DatasetRejectedError as rejected:
            report = Report(file=path.name, verdict=Verdict.REJECTED, errors=rejected.problems)
            raise DatasetRejectedError(said_here(report, folder=True)) from rejected
        yield archive


def _prepared(
    checker: Checker,
    archive: Archive,
    path: Path,
    given: str | None,
    folder: Path,
    application: str,
    metadata: Mapping[str, str],
) -> PreparedDataset:
    sha256 = sha256_of(archive.path)
    with open_range(archive.path) as file:
        dataset = DatasetInput(
            archive=file,
            file=path.name,
            key=archive.key,
            metadata=metadata,
            trigger_seed=sha256,
            application=application,
        )
        checked = checker.check(dataset)
        report, good = said_here(checked.report, folder=path.is_dir()), checked.good
        if good is None:
            raise rejected(report)
        _refuse_other_trainer(good.resolved.values.trainer, application)
        values = good.resolved.values
        if not good.plan:
            content = content_digest(good.dataset, good.resolved)
            return PreparedDataset(report, values, archive.path, given, sha256, content)
        clean = folder / "clean.zip"
        with clean.open("wb") as copy:
            mender = Mender(checker.pictures)
            copy.writelines(mender.mended(file, good.structure, good.plan, good.prepared))
    with open_range(clean) as made:
        content = content_digest(copied(good.dataset, good.plan, members_of(made)), good.resolved)
    return PreparedDataset(report, values, clean, None, sha256_of(clean), content)


def _refuse_other_trainer(asked_for: str, application: str) -> None:
    """Raise CommandError where training.json names another trainer than the one that is called."""
    if asked_for != application:
        raise CommandError(
            f"training.json in the dataset names the trainer {asked_for}, and {application} is called. "
            f"Take it out, or call that one: --trainer {asked_for.rpartition('/')[2]} "
            f'(in Python: PortraitTrainer(application="{asked_for}")). Nothing was sent.'
        )


def _local(source: DatasetSource, folder: Path) -> tuple[Path, str | None]:
    """Return the dataset on this machine, and its address where fal surely can have it from there.

    fal reads an address when the training begins, after the wait in its queue
    (https://fal.ai/docs/documentation/model-apis/fal-cdn), and a training that then cannot read it may be billed.
    """
    target = folder / "dataset.zip"
    if isinstance(source, bytes):
        target.write_bytes(source)
        return target, None
    if not isinstance(source, str):
        return local_path(source), None
    if source.startswith(DATA):
        target.write_bytes(_decoded(source))
        small = len(source) <= MOST_INLINE and source[len(DATA) :].lower().startswith(ZIP_TYPES)
        return target, source if small else None
    if source[:8].lower().startswith(HOSTED):
        way = download_dataset(source, target)
        # A query is often a signature, which runs out, and fal's runners log addresses in full.
        plain = "?" not in source and not any(map(unreachable, (source, *way)))
        return target, source if plain else None
    return local_path(source), None


def local_path(source: object) -> Path:
    """Return where a dataset lies on this machine, ~ being the home folder; raises CommandError for what is no place."""
    if not isinstance(source, Path | str) or not str(source).strip():
        raise CommandError(
            f"{source!r} is no dataset: give a folder, a ZIP, its bytes or its address, one at a time."
        )
    if isinstance(source, str) and (source.startswith(DATA) or "://" in source):
        raise CommandError(
            f"{source[:60]!r} cannot be fetched here: give an https:// address, the ZIP's bytes, or its path."
        )
    try:
        return Path(source).expanduser()
    except RuntimeError:
        return Path(source)  # a user that this machine does not have


def _decoded(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise CommandError("The data URI is not in base64. Write data:application/zip;base64,…")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise CommandError(f"The data URI's base64 cannot be read: {error}.") from error


def download_dataset(url: str, target: Path) -> tuple[str, ...]:
    """Fetch a dataset from its address and return where the way leads there; raises CommandError."""
    until = monotonic() + MOST_SECONDS
    try:
        with (
            httpx.stream("GET", url, timeout=TIMEOUT, follow_redirects=True) as answer,
            target.open("wb") as file,
        ):
            answer.raise_for_status()
            places = _places(answer)  # the connection closes with the body's last byte
            for chunk in answer.iter_bytes():
                file.write(chunk)
                _refuse_endless(file.tell(), until)
            return places
    except httpx.InvalidURL as error:
        raise CommandError(f"{url!r} is no address of a dataset: {error}.") from error
    except httpx.HTTPError as error:
        raise CommandError(f"The dataset cannot be fetched: {type(error).__name__}.") from error


def _refuse_endless(size: int, until: float) -> None:
    """Raise CommandError for a download that is larger or takes longer than any dataset."""
    if size > MAX_DATASET_BYTES:
        raise CommandError(f"The dataset at this address is larger than {MAX_DATASET_BYTES} bytes.")
    if monotonic() > until:
        raise CommandError(
            f"The dataset has not come in {MOST_SECONDS / 60:.0f} minutes ({size:,} bytes so far). Fetch it by hand, "
            "and give its path. Nothing was sent."
        )


def _places(answer: httpx.Response) -> tuple[str, ...]:
    """Return the addresses of a download's redirects, of its end, and of the server that gave it, as an IP address."""
    connection = answer.extensions.get("network_stream")
    server = connection and connection.get_extra_info("server_addr")
    at = (
        [f"https://[{server[0]}]" if ":" in server[0] else f"https://{server[0]}"] if server else []
    )
    return (*(str(each.url) for each in (*answer.history, answer)), *at)
