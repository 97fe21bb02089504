"""Faults on the way from a dataset's address: each ends with its code, or the fetch goes on to the exact bytes.

The fetch worker with the real download, over a real connection and TLS.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import sleep

import pytest

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.intake import Order
from tests.support.builders import make_archive
from tests.support.cdn import Asked, Fault, FaultyCdn, Said, serving
from tests.support.queue import codes
from tests.support.stream_faults import (
    DATA,
    FIRST,
    MID,
    OTHER,
    PART,
    Once,
    always,
    chunked,
    cut_at,
    later,
    length,
    raw,
    status,
    without_ranges,
)
from tests.support.world import World

MOST = len(DATA) + PART  # bytes


class Address:
    """An order whose file lies on a server with this fault."""

    def __init__(self, cdn: FaultyCdn) -> None:
        self.cdn, self.world = cdn, World()
        self.private = True
        self.patience = timedelta(seconds=30)
        self.job = self.world.intake(cdn.host).fetched(Order("ada.zip", {}), cdn.url, None)

    def fetch(self) -> Job:
        network = CheckedNetwork(private=self.private)
        source = CdnFiles([self.cdn.host], network=network, first=FIRST, most=MOST)
        worker = replace(self.world.fetcher, source=source, part=PART, patience=self.patience)
        return worker.fetch(self.job.job_id)

    @property
    def stored(self) -> list[bytes | None]:
        return [each.data for each in self.world.datasets.objects.get(self.job.dataset.key, [])]

    def orphans(self) -> set[str]:
        """Unfinished uploads that the job does not name."""
        named = {upload.upload_id for upload in self.world.job(self.job.job_id).uploads}
        return set(self.world.copies.uploads) - named


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    ca = tmp_path / "ca.pem"
    with serving(FaultyCdn(DATA), ca) as cdn:
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        yield Address(cdn)


def slow(_: Asked, usual: Said) -> Said:
    sleep(0.1)
    return usual


def endless(usual: Said) -> Said:
    return chunked(replace(usual, status=200, body=bytes(2 * MOST))).headed(Content_Range=None)


def redirected(where: str) -> Fault:
    return always(status(302, Location=where))


LONG = always(lambda said: replace(length(10)(without_ranges(said)), cut=len(DATA)))
HUGE = always(lambda said: said.headed(Content_Range=f"bytes 0-{FIRST - 1}/{MOST + 1}"))
GONE, REFUSED = "dataset_url_gone", "dataset_url_not_allowed"
LARGE, BROKEN = "dataset_url_too_large", "dataset_url_unreachable"
REJECTED: dict[str, tuple[Fault, str]] = {
    "404": (always(status(404)), GONE),
    "403, as of a signature that has run out": (always(status(403)), GONE),
    "404 in the middle": (later(status(404)), GONE),
    "302 into a private network": (redirected("https://10.0.0.1/ada.zip"), REFUSED),
    "302 to the metadata service": (redirected("http://169.254.169.254/latest"), REFUSED),
    "302 to another host": (redirected("https://evil.example/ada.zip"), REFUSED),
    "too large, as it says": (HUGE, LARGE),
    "too large, and it says so at no time": (always(endless), LARGE),
}
WAITS: dict[str, Fault] = {
    "500": always(status(500)),
    "429": always(status(429)),
    "cut in the middle": cut_at(MID),
    "reset in the middle": cut_at(MID, reset=True),
    "more said than sent": LONG,
    "no HTTP": always(raw(b"SSH-2.0-x\r\n\r\n")),
    "no answer": always(raw(b"")),
    "redirected without end": redirected("/files/lora.safetensors"),
}
OVERCOME: dict[str, Fault | Once] = {
    "nothing": always(lambda usual: usual),
    "500 once": Once(always(status(500))),
    "500 once, in the middle": Once(later(status(500))),
    "cut once": Once(cut_at(MID)),
    "no ranges": always(without_ranges),
    "no length": always(lambda said: chunked(without_ranges(said))),
    "another range than asked for": later(lambda said: said.headed(Content_Range="bytes 0-9/10")),
}


@pytest.mark.promise("never get stuck", "An address that gives no dataset rejects its job.")
@pytest.mark.parametrize("name", REJECTED)
def test_useless_address_is_rejected(address: Address, name: str) -> None:
    """What no waiting helps against ends the job at once, and leaves nothing."""
    address.cdn.fault, code = REJECTED[name]
    ended = address.fetch()
    assert (ended.status, codes(ended), address.stored) == (Status.REJECTED, [code], [])
    assert address.world.copies.uploads == {}
    assert {asked.path for asked in address.cdn.asked} == {"/files/lora.safetensors"}


@pytest.mark.promise("nothing leaks")
def test_private_address_is_not_asked(address: Address) -> None:
    """A host of the list that lies in a private network is sent nothing."""
    address.private = False
    ended = address.fetch()
    assert (codes(ended), address.cdn.asked) == ([REFUSED], [])


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("name", WAITS)
def test_trouble_is_said_and_overcome(address: Address, name: str) -> None:
    """What may be over later is said on the job, and the next worker brings the exact bytes."""
    address.cdn.fault = WAITS[name]
    waits = address.fetch()
    assert (waits.status, codes(waits), address.stored) == (Status.RECEIVED, [BROKEN], [])
    assert address.orphans() == set()
    address.cdn.fault = always(lambda usual: usual)
    assert (codes(address.fetch()), address.stored) == ([], [DATA])
    assert address.world.copies.uploads == {}


@pytest.mark.parametrize("name", OVERCOME)
def test_fault_is_overcome_at_once(address: Address, name: str) -> None:
    """What is over in a moment, or is only another way to serve a file, changes nothing."""
    fault = OVERCOME[name]
    address.cdn.fault = fault.armed() if isinstance(fault, Once) else fault
    assert (codes(address.fetch()), address.stored) == ([], [DATA])
    assert address.world.copies.uploads == {}


@pytest.mark.promise("never get stuck")
def test_slow_address_is_gone_on_with(address: Address) -> None:
    """A worker that runs out of time leaves its parts to the next one, which fetches the others alone."""
    address.cdn.fault, address.patience = slow, timedelta(seconds=0.35)
    waits = address.fetch()
    assert (waits.status, codes(waits)) == (Status.RECEIVED, ["dataset_url_timeout"])
    assert (address.orphans(), len(waits.uploads)) == (set(), 1)
    address.cdn.asked.clear()
    address.patience = timedelta(seconds=30)
    assert (codes(address.fetch()), address.stored) == ([], [DATA])
    asked = sorted(each.span for each in address.cdn.asked if each.span and each.span[0])
    assert (0, PART) not in asked
    assert {each.headers.get("if-range") for each in address.cdn.asked if each.span in asked} == {
        address.cdn.etag
    }


def changing(cdn: FaultyCdn) -> Callable[[Asked, Said], Said]:
    """From the fourth part on it is another file."""

    def change(asked: Asked, usual: Said) -> Said:
        if cdn.data is DATA and asked.span is not None and asked.span[0] >= MID:
            cdn.data, cdn.etag = OTHER, '"another"'
            return Said(200, OTHER, {"ETag": cdn.etag, "Content-Length": str(len(OTHER))})
        return usual

    return change


@pytest.mark.parametrize("between_runs", [False, True])
def test_changed_file_is_never_mixed(address: Address, *, between_runs: bool) -> None:
    """A file that changes while it is fetched, or between two workers, is fetched from its beginning."""
    if between_runs:
        address.cdn.fault = cut_at(MID)
        address.fetch()
        address.cdn.data, address.cdn.etag = OTHER, '"another"'
        address.cdn.fault = always(lambda usual: usual)
    else:
        address.cdn.fault = changing(address.cdn)
    assert (codes(address.fetch()), address.stored) == ([], [OTHER])
    assert address.world.copies.uploads == {}


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_file_cut_by_its_own_length_is_not_paid(address: Address) -> None:
    """A server that says a length that is too short ends the file there, as HTTP has it: the check refuses what is left."""
    address.cdn.data = make_archive()
    address.cdn.fault = always(length(-10))
    fetched = address.fetch()
    ended = address.world.submit(address.world.datasets.open(fetched.dataset).version)
    assert (ended.status, address.world.paid) == (Status.REJECTED, [])
