"""However large a file unpacks, a decoder gets no more memory than a function can spare."""

import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from threading import Barrier, Event, Thread, Timer
from typing import Any

import pytest
from PIL import Image

from lora_drop.adapters.decoding_threads import DecodingThreads, cores
from lora_drop.adapters.memory_limit import at_most, not_limited
from tests.support.photos import encoded, picture
from tests.support.sweeps import sweep

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is bounded in the functions, which run on Linux"
)
MB = 1024**2
SMALL = (640).to_bytes(4) * 2


def understated(kind: str, side: int) -> bytes:
    """Return a HEIF or an AVIF whose size box says 640 by 640 and not its true side."""
    fast: dict[str, Any] = {"speed": 10}
    if kind == "HEIF":
        fast = {"enc_params": {"preset": "ultrafast"}}
    data = bytearray(
        encoded(Image.new("RGB", (side, side), (90, 80, 70)), kind, quality=10, **fast)
    )
    at = data.index(b"ispe") + 8
    data[at : at + 8] = SMALL
    return bytes(data)


def test_allocation_is_limited() -> None:
    with at_most(64 * MB), pytest.raises(MemoryError):
        bytearray(128 * MB)
    assert len(bytearray(128 * MB)) == 128 * MB


def test_limit_ends_with_its_block() -> None:
    with pytest.raises(KeyError), at_most(MB):
        raise KeyError
    with at_most(512 * MB), at_most(1024 * MB), pytest.raises(MemoryError):
        bytearray(800 * MB)  # the narrower one holds
    assert len(bytearray(128 * MB)) == 128 * MB


# A process of its own: what an earlier test has given back may be taken once more without asking.
LOOK = """
    import resource, sys
    from pathlib import Path
    from lora_drop.adapters import pillow
    from lora_drop.datasets.images.describe import describe
    from lora_drop.datasets.images.header import InvalidImageError
    from lora_drop.datasets.images.pictures import Change
    from lora_drop.datasets.images.reading import WholeImage
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for file in sys.argv[2:]:
        data = Path(file).read_bytes()
        header = describe(WholeImage(data))
        try:
            pillow.PillowPictures().mend(data, header, [Change.CONVERTED])
            said = "mended"
        except InvalidImageError as refused:
            said = refused.flaw
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        pillow.MOST_MEMORY = int(sys.argv[1]) * 1024**2
        print(f"{header.width}x{header.height}", said, grown // 1024)
"""


def looked(root: Path, files: list[Path], most: int) -> list[tuple[str, str, int]]:
    """Return for each file its size, its outcome, and the MB by which the process had grown.

    The bound holds from the second file on: the first one loads the library.
    """
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", textwrap.dedent(LOOK), str(most), *map(str, files)],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return [(size, said, int(grown)) for size, said, grown in lines]


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_understated_picture_stays_in_limit(kind: str, tmp_path: Path, root: Path) -> None:
    """A picture larger than its file says is stopped at the limit."""
    (tmp_path / "small").write_bytes(understated(kind, 3000))
    (tmp_path / "first").write_bytes(encoded(picture(), kind))
    _, (size, said, grown) = looked(root, [tmp_path / "first", tmp_path / "small"], 16)
    assert (size, said) == ("640x640", "image_damaged")
    assert grown < 40


# Of the others too much is left over from the first picture.
@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("kind", sweep(["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"], sample=3))
def test_large_picture_leaves_library_usable(kind: str, tmp_path: Path, root: Path) -> None:
    """A sound image that needs too much memory is refused, and the next one opens."""
    large, small = tmp_path / "large", tmp_path / "small"
    large.write_bytes(encoded(picture(2400, 1800), kind))
    small.write_bytes(encoded(picture(), kind))
    first, refused, last = looked(root, [small, large, small], 3)
    assert refused[:2] in {("2400x1800", "image_damaged"), ("2400x1800", "image_too_much_work")}
    assert first[:2] == last[:2] == ("96x72", "mended")


def test_threads_leave_no_limit_behind() -> None:
    """Decoding in several threads, as AsyncLoraDrop and the page do, leaves the process as it was."""
    before, inside, leave = resource.getrlimit(resource.RLIMIT_AS), Event(), Event()

    def first() -> None:
        with at_most(64 * MB):
            inside.set()
            leave.wait(1)

    def second() -> None:
        inside.wait()
        with at_most(64 * MB):
            leave.set()
            time.sleep(0.2)  # the first one leaves before this one does

    threads = [Thread(target=each) for each in (first, second)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_threads_that_share_the_limit_have_no_more_together() -> None:
    """Photos that are decoded beside each other take no more memory than one that is decoded alone."""
    before, both = resource.getrlimit(resource.RLIMIT_AS), Barrier(2)

    def take() -> bool:
        with at_most(256 * MB):
            both.wait(10)
            try:
                kept = bytearray(160 * MB)
            except MemoryError:
                return False
            finally:
                both.wait(10)
            return bool(kept)

    with DecodingThreads() as threads:
        if cores() == 1:
            pytest.skip("one core decodes one photo at a time")
        taken = [future.result() for future in [threads.submit(take) for _ in range(2)]]
    assert sorted(taken) == [False, True]
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_is_alone_waits_for_those_that_share() -> None:
    """A photo that is decoded once more, and a search for faces, have a process that no other photo bounds."""
    before, inside, leave = resource.getrlimit(resource.RLIMIT_AS), Event(), Event()

    def hold() -> None:
        with at_most(64 * MB):
            inside.set()
            leave.wait(10)

    with DecodingThreads() as threads:
        held = threads.submit(hold)
        inside.wait()
        Timer(0.1, leave.set).start()
        with not_limited():
            assert leave.is_set()
            assert resource.getrlimit(resource.RLIMIT_AS) == before
        held.result()
