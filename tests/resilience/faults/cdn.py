"""fal's CDN: the files of the requests in its ledger, slow, late or of another server where a schedule says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit

from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import DownloadInterruptedError, ResultGoneError, SourceChangedError
from tests.resilience.faults.fal import Fal


@dataclass
class Cdn:
    """An ArtifactSource: fal's files, for as long as they are asked for.

    A file's ETag is the server's own, so it becomes another one when ``servers`` are changed.
    """

    fal: Fal
    servers: int = 0
    # What a slow file takes of its reader's run, and the monotonic clock.
    spend: Callable[[timedelta], None] = lambda _: None
    tick: Callable[[], float] = lambda: 0.0

    @contextmanager
    def open(self, artifact: Artifact, *, until: float, whole: bool = False) -> Iterator["CdnFile"]:
        request = self.fal.requests[urlsplit(artifact.url).path.split("/")[2]]
        if self.tick() >= until:
            raise DownloadInterruptedError("there is no time left")
        if request.files_at and self.fal.clock() < request.files_at:
            raise ResultGoneError(artifact.name)
        request.copied, slow = True, request.whole_takes
        file = CdnFile(self, request.files[artifact.url], self.servers, whole=whole or bool(slow))
        yield replace(file, until=until, takes=slow) if slow else file


@dataclass
class CdnFile:
    cdn: Cdn
    data: bytes
    server: int
    whole: bool
    until: float = 0.0
    takes: timedelta | None = None

    @property
    def size(self) -> int | None:
        return len(self.data)

    @property
    def identity(self) -> str:
        return "" if self.whole else f'"{self.server}-{len(self.data)}"'

    def read(self, offset: int, into: memoryview) -> int:
        if self.takes and offset == 0:
            left = timedelta(seconds=max(self.until - self.cdn.tick(), 0.0))
            self.cdn.spend(min(self.takes, left))
            if self.takes > left:
                raise DownloadInterruptedError("it takes longer than there is time for")
        if not self.whole and self.server != self.cdn.servers:
            raise SourceChangedError("the ETag is another one")
        got = self.data[offset : offset + len(into)]
        into[: len(got)] = got
        return len(got)
