"""One result file, from where fal keeps it to where we do: whole, checked, and put there once.

What was copied before a crash is not copied again. The source is believed to be the same file only by its strong ETag.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import (
    DownloadInterruptedError,
    KeyOccupiedError,
    ResultInvalidError,
    SourceChangedError,
    UploadGoneError,
)
from lora_drop.ports import ArtifactSource, CopyStore
from lora_drop.results.copies import ExistingFile
from lora_drop.services.copy_attempt import CopyAttempt, CopyRequest
from lora_drop.services.prefetch import ARRIVING, STORING

PART = 8 * 1024**2  # S3 wants 5 MiB at least in every part but the last
TRIES = 5
SPOILT = (UploadGoneError, KeyOccupiedError, ResultInvalidError, SourceChangedError)


class _NoRangesError(SourceChangedError):
    """Raised when a file has to be read in one go, which may take longer than its parts."""


@dataclass(frozen=True, slots=True)
class Copier:
    """Copies files by parts: while some are hashed and stored, the next are on their way."""

    results: CopyStore
    source: ArtifactSource
    part: int = PART
    now: Callable[[], float] = monotonic

    def copy(self, request: CopyRequest) -> StoredFile:
        """Return the file where it lies now: its bytes are the source's, and are what their name says.

        Raises ResultInvalidError when they are not, ResultGoneError, HostNotAllowedError, ConflictError, and
        DownloadInterruptedError to be called again; what has arrived by then is not fetched twice.
        """
        occupied: set[str] = set()
        # After a slow one without ranges the others have the longer time as well.
        whole = request.until <= self.now() < request.until_whole
        for _ in range(TRIES):
            name, lying = self._place(request, occupied)
            if lying and lying.source == request.label.source:
                return self._adopt(request, name)
            try:
                return self._make(request, name, lying, whole=whole)
            except KeyOccupiedError:
                occupied.add(name)
            except UploadGoneError:
                continue  # another copy came first, or S3 wants this one begun again
            except SourceChangedError:
                # Servers that do not agree on an ETag give no file by ranges, ever; nor does one without ranges.
                whole = True
        raise DownloadInterruptedError(
            f"{request.artifact.name} was not to be stored in {TRIES} tries"
        )

    def _place(self, request: CopyRequest, occupied: set[str]) -> tuple[str, ExistingFile | None]:
        """Return the name that a copy of this source has already, or else the first that may be free."""
        free: tuple[str, ExistingFile | None] | None = None
        for name in request.names():
            lying = self.results.find(request.prefix + name)
            if lying and lying.source == request.label.source:
                return name, lying
            if free is None and name not in occupied:
                free = name, lying
            if free and lying is None:
                return free
        if free is None:
            raise KeyOccupiedError(request.prefix + request.artifact.name)
        return free

    def _adopt(self, request: CopyRequest, name: str) -> StoredFile:
        """Take over a copy whose worker completed it and died before it could record that."""
        if upload := request.notes.find(name):
            self.results.abort(request.prefix + name, upload.upload_id)
            request.notes.drop(upload)
        return self.results.reread(request.prefix + name)

    def _make(
        self, request: CopyRequest, name: str, lying: ExistingFile | None, *, whole: bool
    ) -> StoredFile:
        copy = CopyAttempt(
            self.results,
            request,
            name,
            part=self.part,
            until=request.deadline(whole=whole),
            now=self.now,
        )
        try:
            copy.resume()
            if copy.complete:
                return copy.finish()  # whether or not fal still has it
            # In this order: closing the file is what ends a part that is still on its way, and none
            # is being stored any more when the copy is discarded.
            with (
                ThreadPoolExecutor(STORING) as uploading,
                ThreadPoolExecutor(ARRIVING) as ahead,
                self.source.open(
                    request.artifact, until=request.deadline(whole=whole), whole=whole
                ) as file,
            ):
                if not file.identity and request.deadline(whole=True) > request.deadline(
                    whole=whole
                ):
                    raise _NoRangesError(f"{name} cannot be read by ranges")
                # Of another size it is another file; of the same, only its bytes decide.
                if lying and file.size not in (None, lying.size):
                    raise KeyOccupiedError(request.prefix + name)
                return copy.fetch(file, ahead, uploading)
        except SPOILT:
            copy.discard()
            raise
        except DownloadInterruptedError:
            if not copy.resumable:
                copy.discard()
            raise
