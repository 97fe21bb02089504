"""Archives nobody here wrote: what real programs made is read as Python reads it, the rest refused."""

import io
import time
import zipfile
from pathlib import Path

import pytest

from lora_drop.datasets.archives import MeteredReader, structure_of
from lora_drop.datasets.archives.structure import MAX_BYTES, MAX_REQUESTS
from lora_drop.jobs.errors import DatasetRejectedError
from tests.support.foreign import DAMAGED, PYPI_ALONE, USELESS, foreign_archives, is_damaged
from tests.support.memory_files import MemoryRange
from tests.support.zips import codes


def kind(found: list[str]) -> str:
    """What sort of a verdict it is: the code itself of what cannot be trained on."""
    if any(code.startswith("archive_") for code in found):
        return "archive_"
    return found[0] if found else "accepted"


def test_every_archive_gets_the_verdict_it_deserves(corpora: Path) -> None:
    archives = dict(foreign_archives(corpora))

    assert {name: kind(codes(data)) for name, data in archives.items()} == {
        name: "archive_" if is_damaged(name) else USELESS.get(name, "accepted") for name in archives
    }
    assert {*DAMAGED, *USELESS, *PYPI_ALONE} <= archives.keys()
    assert len(archives) > 160


def test_no_refusal_of_a_sound_archive_blames_the_archive(corpora: Path) -> None:
    sound = {
        name: codes(data)
        for name, data in foreign_archives(corpora)
        if "/test__success__" in name or "__accept__" in name or name in USELESS
    }

    assert [name for name, found in sound.items() if kind(found) == "archive_"] == []
    assert len(sound) > 30


@pytest.mark.filterwarnings("ignore:Empty unicode path extra field")
def test_what_is_accepted_is_what_python_reads(corpora: Path) -> None:
    compared = 0
    for name, data in foreign_archives(corpora):
        if codes(data):
            continue
        with zipfile.ZipFile(io.BytesIO(data)) as python:
            entries = python.infolist()
            assert [
                (
                    member.raw_name,
                    member.offset,
                    member.compressed,
                    member.size,
                    member.method,
                    member.flags,
                    member.crc,
                )
                for member in structure_of(MemoryRange(data)).entries
            ] == [
                (
                    info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437"),
                    info.header_offset,
                    info.compress_size,
                    info.file_size,
                    info.compress_type,
                    info.flag_bits,
                    info.CRC,
                )
                for info in entries
            ], name
            # IZArc's two spellings of one name are all that Python stumbles on.
            assert name.endswith("slashes_and_izarc.zip") or python.testzip() is None, name
        compared += 1
    assert compared > 80


def test_each_structure_is_judged_within_the_budget(corpora: Path) -> None:
    for name, data in foreign_archives(corpora):
        reader = MeteredReader(MemoryRange(data))
        started = time.process_time()
        directory = 0
        try:
            directory = len(data) - structure_of(reader).begin
        except DatasetRejectedError:
            pass
        finally:
            assert time.process_time() - started < 2, name
            assert reader.requests <= min(MAX_REQUESTS, 4), name
            assert reader.bytes_read <= min(MAX_BYTES + directory, len(data)), name
