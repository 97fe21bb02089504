"""One run of ``benchmarks.page``: ``python -m benchmarks.page_run page|command FOLDER``; the last line is the report."""

import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from lora_drop.client.check import check_dataset
from lora_drop.datasets.report import Report
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.ui.drafts import Drafts
from lora_drop.ui.workers import Workers

FIRST = 12  # small pictures that a screen shows
AT_ONCE = 6  # requests of a browser to one host
MIB = 1024  # KiB
PIECE = 1024**2  # bytes
WATCHED = 0.1  # seconds
# What the server loads besides.
LOADED = (
    "boto3",
    "lora_drop.ui.app",
    "lora_drop.ui.server",
    "lora_drop.ui.stack_backend",
    "uvicorn",
)


class Memory:
    """The peaks of this process, and of it together with those of the pool, as PSS in KiB (proc(5), smaps_rollup)."""

    def __init__(self, workers: Workers) -> None:
        self.server = self.all = 0
        self._workers = workers
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(WATCHED):
            own = pss(os.getpid())
            self.server = max(self.server, own)
            self.all = max(self.all, own + sum(map(pss, self._workers.processes)))


def pss(process: int) -> int:
    """The proportional set size of a process; 0 for one that has ended."""
    try:
        rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) for row in rows if row.startswith("Pss:")), 0)


def receive(drafts: Drafts, draft_id: str, file: Path) -> int:
    """Add a file in pieces, as an upload comes; its number."""
    target = drafts.incoming(draft_id)
    with file.open("rb") as source, target.open("wb") as copy:
        while piece := source.read(PIECE):
            copy.write(piece)
    return drafts.add(draft_id, file.name, target).number


def page(folder: Path) -> Report:
    """Drop the folder, and print the figures."""
    for module in LOADED:
        import_module(module)
    with tempfile.TemporaryDirectory(dir=folder.parent) as state:
        workers = Workers()
        memory = Memory(workers)
        drafts = Drafts(Path(state) / "drafts", workers, DEFAULT.application)
        time.sleep(2)  # a person looks for the folder
        began = time.monotonic()
        draft_id = drafts.create(folder.name).id
        shown: list[Future[float]] = []
        with ThreadPoolExecutor(AT_ONCE) as browser:

            def show(number: int) -> float:
                drafts.thumbnail(draft_id, number)
                return time.monotonic() - began

            for file in sorted(folder.iterdir()):
                number = receive(drafts, draft_id, file)
                shown.append(browser.submit(show, number))
            added = time.monotonic() - began
            drafts.finish(draft_id)
        while not (draft := drafts.get(draft_id)).current and not draft.problem:
            time.sleep(0.05)
        checked = time.monotonic() - began
        memory.end()
        drafts.close()
        workers.close()
    seconds = [each.result() for each in shown]
    assert draft.report, draft.problem  # noqa: S101  # a benchmark of a check that has ended
    figures = {
        f"first {FIRST} small pictures": max(seconds[:FIRST]),
        "all files added": added,
        "all small pictures": max(seconds),
        "check ended": checked,
        "the check itself": draft.report.seconds,
    }
    for name, value in figures.items():
        print(f"{name:28} {value:7.2f} s")
    print(f"{'server, at its peak':28} {memory.server / MIB:7.0f} MiB PSS")
    print(f"{'with its processes':28} {memory.all / MIB:7.0f} MiB PSS")
    return draft.report


def command(folder: Path) -> Report:
    """Check the folder as ``lora-drop check`` does."""
    began = time.monotonic()
    report = check_dataset(folder)
    print(f"{'lora-drop check':28} {time.monotonic() - began:7.2f} s")
    return report


if __name__ == "__main__":
    run = {"page": page, "command": command}[sys.argv[1]]
    found = run(Path(sys.argv[2])).model_dump(
        mode="json", exclude={"seconds", "bytes_read", "requests"}
    )
    print(json.dumps(found, sort_keys=True))
