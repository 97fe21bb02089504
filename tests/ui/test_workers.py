"""The processes that decode pictures: one may die or hang, the others go on, and small pictures come first."""

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket
from PIL import Image

from lora_drop.ui import workers as pool
from lora_drop.ui.draft_check import CheckTask, Looking
from lora_drop.ui.workers import NoPreviewError, WorkerDiedError, Workers
from tests.support.photos import encoded, exif, picture, png_header

LARGE = picture(2400, 1800)
PREVIEWS = {
    "a JPEG": encoded(LARGE, "JPEG"),
    "a HEIC": encoded(LARGE, "HEIF"),
    "a PNG with transparency": encoded(picture(900, 700, "RGBA"), "PNG"),
    "a TIFF": encoded(picture(900, 700), "TIFF"),
    "a JPEG for printing": encoded(picture(900, 700, "CMYK"), "JPEG"),
    "a GIF": encoded(picture(900, 700), "GIF"),
}
NONE = {
    "no photo": (b"a text", "not a photo"),
    "an empty file": (b"", "empty"),
    "a photo that was cut off": (encoded(LARGE, "JPEG")[:9000], "damaged or was cut off"),
    "a bomb": (png_header(60_000, 60_000), "pixels"),
}


@pytest.fixture(autouse=True)
def _sockets_off() -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


def shown(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def endless(tmp_path: Path) -> CheckTask:
    """A check that reads a pipe into which nothing is written."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    return CheckTask(pipe, tmp_path, "a.zip", "a.zip", folder=False, metadata={}, application="")


def unheard(_: Looking) -> None:
    pass


@pytest.mark.parametrize("kind", PREVIEWS)
def test_a_preview_is_a_small_jpeg_of_any_photo(
    workers: Workers, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "1"
    file.write_bytes(PREVIEWS[kind])

    small = shown(workers.preview(file, 320))

    assert (small.format, small.mode in ("RGB", "L"), max(small.size)) == ("JPEG", True, 320)


def test_a_preview_is_upright_and_says_nothing_of_the_place(
    workers: Workers, tmp_path: Path
) -> None:
    file = tmp_path / "1"
    file.write_bytes(encoded(LARGE, "JPEG", exif=exif(6, place=True).tobytes()))

    data = workers.preview(file, 320)

    assert shown(data).size == (240, 320)
    assert b"Exif" not in data


def test_a_small_photo_is_not_enlarged(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(encoded(picture(96, 72), "PNG"))
    assert shown(workers.preview(tmp_path / "1", 320)).size == (96, 72)


@pytest.mark.parametrize("kind", NONE)
def test_what_cannot_be_shown_says_why(workers: Workers, tmp_path: Path, kind: str) -> None:
    data, why = NONE[kind]
    (tmp_path / "1").write_bytes(data)
    with pytest.raises(NoPreviewError, match=why):
        workers.preview(tmp_path / "1", 320)


def test_a_file_that_is_gone_says_so(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(NoPreviewError, match="cannot be read"):
        workers.preview(tmp_path / "1", 320)


def test_a_process_that_dies_ends_its_task_with_an_error_and_is_replaced(
    workers: Workers, tmp_path: Path
) -> None:
    """A decoder that crashes on a photo takes nothing with it but the preview of this photo."""
    (tmp_path / "1").write_bytes(PREVIEWS["a JPEG"])
    died: list[Exception] = []

    def check() -> None:
        try:
            workers.check(endless(tmp_path), unheard)
        except WorkerDiedError as error:
            died.append(error)

    thread = threading.Thread(target=check)
    thread.start()
    busy = _once_busy(workers)
    os.kill(busy, signal.SIGKILL)
    thread.join(10)

    assert len(died) == 1
    assert busy not in workers.processes
    assert len(workers.processes) == pool.COUNT
    assert workers.preview(tmp_path / "1", 320)


def test_a_process_that_died_while_nothing_was_done_is_replaced_unseen(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "1").write_bytes(PREVIEWS["a JPEG"])
    workers.preview(tmp_path / "1", 320)  # they have started
    for each in workers.processes:
        os.kill(each, signal.SIGKILL)
    time.sleep(0.2)

    assert all(workers.preview(tmp_path / "1", 320) for _ in range(pool.COUNT))


def test_a_process_that_hangs_is_ended(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CHECK_SECONDS", 0.5)
    with pytest.raises(WorkerDiedError, match="longer than"):
        workers.check(endless(tmp_path), unheard)


def test_previews_are_made_while_a_check_runs_and_a_second_check_waits(tmp_path: Path) -> None:
    """Small pictures never wait for a check: it takes one process at the most."""
    (tmp_path / "1").write_bytes(PREVIEWS["a JPEG"])
    workers = Workers()
    threads = [
        threading.Thread(target=lambda task=task: _until_closed(workers, task))
        for task in (endless(tmp_path), endless(_folder(tmp_path / "other")))
    ]
    for thread in threads:
        thread.start()
    _once_busy(workers)

    assert [bool(workers.preview(tmp_path / "1", 320)) for _ in range(3)] == [True] * 3

    workers.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert workers.processes == ()


def test_the_processes_end_with_the_server(tmp_path: Path) -> None:
    """A server that is killed leaves no process behind."""
    workers = Workers()
    (tmp_path / "1").write_bytes(PREVIEWS["a JPEG"])
    workers.preview(tmp_path / "1", 320)
    for each in workers._free:
        each._pipe.close()

    assert [each.process.wait(10) for each in workers._free] == [0] * pool.COUNT


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _until_closed(workers: Workers, task: CheckTask) -> None:
    with pytest.raises(WorkerDiedError):
        workers.check(task, unheard)


def _once_busy(workers: Workers) -> int:
    """Return the process that does something, once one does."""
    for _ in range(200):
        if workers.busy:
            return workers.busy[0]
        time.sleep(0.02)
    raise AssertionError("nothing has begun")
