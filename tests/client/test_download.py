"""The typed library, once a LoRA is there: a download that breaks off goes on, and only whole files are kept."""

import threading
from pathlib import Path

import pytest
from botocore.exceptions import ResponseStreamingError

import lora_drop
from lora_drop import Status
from lora_drop.client import ranges
from lora_drop.client.stack import Stack
from tests.support.client_fixtures import Api, job_answer, stored

LORA = bytes(range(256)) * 500


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr(ranges, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def trained(drop: lora_drop.LoraDrop, stack: Stack, api: Api) -> lora_drop.Job:
    """A job whose LoRA of five ranges is in the models bucket."""
    stack.client("s3").create_bucket(Bucket="models")
    stack.client("s3").put_object(Bucket="models", Key="ada/lora.safetensors", Body=LORA)
    end = job_answer(status=Status.SUCCEEDED, files=(stored("lora.safetensors", LORA),))
    api.answers = [end] * 3
    return drop.job("ada-1")


def broken(monkeypatch: pytest.MonkeyPatch, *, after: int, times: int) -> list[str]:
    """Every answer with a range breaks off after so many of them, so many times; what was asked for."""
    asked: list[str] = []
    copy, lock = ranges.Ranges._copy, threading.Lock()

    def breaks(self: ranges.Ranges, start: int) -> None:
        with lock:
            asked.append(str(start))
            fails = after < len(asked) <= after + times
        if fails:
            raise ResponseStreamingError(error="reset")
        copy(self, start)

    monkeypatch.setattr(ranges, "RANGE", len(LORA) // 5)
    monkeypatch.setattr(ranges, "AT_ONCE", 1)
    monkeypatch.setattr(ranges.Ranges, "_copy", breaks)
    return asked


@pytest.mark.promise("never lose a result")
def test_download_goes_on(
    trained: lora_drop.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that breaks off goes on where it was, in the same call and in the next one."""
    broken(monkeypatch, after=1, times=2)
    trained.result().download(tmp_path / "first")
    assert (tmp_path / "first" / "lora.safetensors").read_bytes() == LORA

    monkeypatch.undo()
    monkeypatch.setattr(ranges, "PAUSES", (0.0,))
    broken(monkeypatch, after=3, times=99)
    with pytest.raises(lora_drop.CommandError, match="could not be fetched"):
        trained.download(tmp_path / "second")
    monkeypatch.undo()
    asked = broken(monkeypatch, after=99, times=0)
    [path] = trained.download(tmp_path / "second")
    assert path.read_bytes() == LORA
    assert len(asked) == 2  # of five: three were there
    assert [each.name for each in (tmp_path / "second").iterdir()] == ["lora.safetensors"]


def test_spoilt_remains_are_fetched_anew(
    trained: lora_drop.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, after=3, times=99)
    with pytest.raises(lora_drop.CommandError):
        trained.download(tmp_path)
    [part] = tmp_path.glob(".*.part")
    part.write_bytes(b"spoilt" + part.read_bytes()[6:])
    monkeypatch.undo()
    [path] = trained.download(tmp_path)
    assert path.read_bytes() == LORA
