"""Faults on the way from the CDN end in the exact bytes or in an error.

Each fault strikes a fresh copy, and one that goes on from two stored parts. The copy is the real
one, over a real connection: the store worker, the download, TLS.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import pytest

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import DownloadInterruptedError, HostNotAllowedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import ArtifactSource
from lora_drop.results.copies import Part
from lora_drop.services.store import INVALID_STANDS, ResultStorer
from tests.support.builders import REQUEST_ID, make_job
from tests.support.cdn import Asked, Fault, FaultyCdn, Said, serving
from tests.support.memory_files import MemoryResults
from tests.support.outcome import Killed
from tests.support.stream_faults import (
    DATA,
    EDGES,
    FAULTS,
    FIRST,
    MID,
    OTHER,
    PART,
    End,
    Once,
    always,
    chunked,
    cut_clean,
    without_ranges,
)
from tests.support.world import World


@dataclass
class Line:
    """A job whose weights lie on a CDN behind a real connection."""

    cdn: FaultyCdn
    world: World = field(default_factory=World)
    job: Job = field(default_factory=lambda: make_job(Status.STORING))

    def begin(self, size: int | None = len(DATA)) -> None:
        lora = Artifact(name="lora.safetensors", url=self.cdn.url, size=size)
        self.job = self.world.holds(make_job(Status.STORING, artifacts=(lora,)))
        self.world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, (lora,))

    @cached_property
    def result_storer(self) -> ResultStorer:
        source: ArtifactSource = CdnFiles(
            [self.cdn.host], network=CheckedNetwork(private=True), first=FIRST
        )
        return replace(self.world.result_storer, source=source, part=PART)

    def deliver(self) -> Job:
        return self.result_storer.store_result(self.job.job_id)

    def die_after(self, parts: int) -> None:
        """Let a first worker die after this many parts."""

        class Dying(MemoryResults):
            def upload(
                self, key: str, upload_id: str, number: int, data: bytes | bytearray
            ) -> Part:
                if number > parts:
                    raise Killed
                return super().upload(key, upload_id, number, data)

        results = self.world.results
        dying = Dying(results.files, results.sources, results.uploads, numbers=results.numbers)
        with pytest.raises(Killed):
            replace(self.result_storer, results=dying).store_result(self.job.job_id)
        self.world.clock.now += timedelta(minutes=5)
        self.cdn.asked.clear()

    @property
    def stored(self) -> bytes | None:
        return self.world.results.files.get(self.job.prefix + "lora.safetensors")

    def dangling(self) -> int:
        """Unfinished copies that the sweep would not find named in the job."""
        named = {upload.upload_id for upload in self.world.job(self.job.job_id).uploads}
        return len(set(self.world.results.uploads) - named)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    ca = tmp_path / "ca.pem"
    with serving(FaultyCdn(DATA), ca) as cdn:
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        yield Line(cdn)


def test_table_has_enough_faults() -> None:
    assert len(FAULTS) >= 40


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize("name", FAULTS)
def test_fault_never_stores_wrong_bytes(
    line: Line,
    name: str,
    resumed: bool,  # noqa: FBT001  # a table's column
) -> None:
    """A fault ends in the exact bytes or in an error, and the next attempt stores them."""
    line.begin()
    if resumed:
        line.die_after(2)
    fault, end = FAULTS[name]
    line.cdn.fault = fault.armed() if isinstance(fault, Once) else fault
    if resumed and name in (f"closed at {edge}" for edge in EDGES if edge < 2 * PART):
        end = End.STORED  # that byte is not requested any more
    with suppress(DownloadInterruptedError, HostNotAllowedError):
        line.deliver()
    job = line.world.job(line.job.job_id)
    assert (job.status, line.stored) == (
        (Status.SUCCEEDED, DATA) if end is End.STORED else (Status.STORING, None)
    )
    assert line.dangling() == 0
    line.cdn.fault = always(lambda usual: usual)
    assert line.deliver().status is Status.SUCCEEDED
    assert line.stored == DATA
    assert line.world.results.uploads == {}
    # Where a redirect leads within the list is looked at; nowhere else.
    paths = {"/files/lora.safetensors", *(["/files/other"] if "redirect" in name else [])}
    assert {asked.path for asked in line.cdn.asked} <= paths


NEVER_VALID = {
    name: FAULTS[name][0] for name in ("length too short", "an error page", "an empty body")
}
CUT = always(lambda said: chunked(cut_clean(said)))


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("fault", "size", "age"),
    [
        *((fault, None, INVALID_STANDS) for fault in NEVER_VALID.values()),
        *(
            (fault, len(DATA), timedelta(minutes=30))
            for fault in (NEVER_VALID["length too short"], NEVER_VALID["an error page"], CUT)
        ),
    ],
    ids=[*NEVER_VALID, *(f"{name}, of known size" for name in ("too short", "a page", "cut"))],
)
def test_invalid_result_is_reported_and_kept(
    line: Line, fault: Fault | Once, size: int | None, age: timedelta
) -> None:
    """A result that stays invalid is kept and ends the job, after ten minutes, with a known size after thirty."""
    line.begin(size)
    line.world.clock.now = max(line.world.clock.now, line.job.since + age)
    assert not isinstance(fault, Once)
    line.cdn.fault = lambda asked, usual: fault(asked, without_ranges(usual))
    job = line.deliver()
    assert (job.status, job.problems[0].code) == (Status.FAILED, "result_invalid")
    assert line.stored is None
    assert line.job.prefix + "lora.safetensors.invalid" in line.world.results.files
    assert line.world.results.uploads == {}


@pytest.mark.parametrize("resumed", [False, True], ids=["fresh", "resumed"])
def test_replaced_file_is_stored_whole(
    line: Line,
    resumed: bool,  # noqa: FBT001  # a table's column
) -> None:
    line.begin()
    if resumed:
        line.die_after(2)

    def replaced(asked: Asked, usual: Said) -> Said:
        if asked.span is None or asked.span[0] < MID:
            return usual
        line.cdn.data, line.cdn.etag = OTHER, '"another"'
        line.cdn.fault = always(lambda usual: usual)
        return line.cdn._usual(asked)

    line.cdn.fault = replaced

    assert line.deliver().status is Status.SUCCEEDED
    assert line.stored == OTHER
    assert line.world.results.uploads == {}


def test_resumed_copy_requests_only_the_rest(line: Line) -> None:
    line.begin()
    line.die_after(2)
    line.deliver()
    starts = [asked.span[0] for asked in line.cdn.asked if asked.span]
    assert starts[0] == 0  # what the server says of the file, its body left unread
    assert min(starts[1:]) == 2 * PART


@pytest.mark.promise("nothing leaks")
def test_untrusted_server_gets_no_request(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without a trusted certificate receives no request."""
    line.begin()
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DownloadInterruptedError):
        line.deliver()
    assert line.cdn.asked == []
