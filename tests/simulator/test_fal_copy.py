"""The simulator's CDN and our copier: a LoRA arrives whole, whatever is wrong with the CDN meanwhile."""

from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.jobs.artifacts import Artifact, StoredFile, artifacts_in
from lora_drop.jobs.errors import DownloadInterruptedError, ResultGoneError
from lora_drop.services.copy import Copier, CopyRequest
from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls
from tests.support.copying import MemoryNotes
from tests.support.memory_files import MemoryResults

PART = 1024**2


@dataclass
class Copy:
    """The weights of one training, copied from the simulator."""

    sim: ControlClient
    lora: Artifact
    results: MemoryResults = field(default_factory=MemoryResults)
    notes: MemoryNotes = field(default_factory=MemoryNotes)

    def make(self) -> StoredFile:
        cdn = CdnFiles(
            [urlsplit(self.sim.base_url).netloc],
            network=CheckedNetwork(private=True),
            first=PART // 4,
        )
        copier = Copier(self.results, cdn, PART)
        return copier.copy(CopyRequest(self.lora, "ada/", self.notes, until=monotonic() + 60))

    def served(self) -> list[dict[str, Any]]:
        """What the simulator's ledger says was asked of this file."""
        rows: list[dict[str, Any]] = self.sim.ledger()["served"]
        return [row for row in rows if row["url"] == self.lora.url]


@pytest.fixture
def copy(sim: ControlClient, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Copy:
    monkeypatch.setenv("SSL_CERT_FILE", str(sim.ca_file))
    [lora] = [each for each in artifacts_in(calls.trained()) if each.name == "lora.safetensors"]
    assert lora.size
    assert lora.size > 4 * PART
    return Copy(sim, lora)


def test_a_lora_arrives_whole_by_ranges_each_byte_of_it_once(copy: Copy) -> None:
    stored = copy.make()

    assert stored.size == copy.lora.size
    assert all(row["range"] for row in copy.served())
    assert sum(row["bytes"] for row in copy.served()) == copy.lora.size


def test_a_download_that_is_cut_is_gone_on_with(copy: Copy) -> None:
    copy.sim.inject("download_cut", bytes=100_000, times=3)

    assert copy.make().size == copy.lora.size


@pytest.mark.parametrize("status", [429, 503])
def test_a_cdn_that_does_not_answer_is_asked_again_for_what_is_missing(
    copy: Copy, status: int
) -> None:
    first = copy.make()
    copy.results.files.clear()
    copy.sim.inject("download_status", status=status)

    with pytest.raises(DownloadInterruptedError):
        copy.make()

    assert copy.make() == first


def test_a_file_that_is_gone_is_told_so(copy: Copy) -> None:
    copy.sim.inject("download_status", status=404)

    with pytest.raises(ResultGoneError):
        copy.make()
