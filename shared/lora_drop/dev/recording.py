"""docs/train.svg: what a person sees of a training, recorded from a real run against the simulator.

``python -m lora_drop.dev.recording`` runs `lora-drop train … --direct` in a pseudo terminal, keeps what the terminal showed, and
draws it as one animated SVG without anything from a network.
"""

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from lora_drop.local.tools import ROOT
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator

TARGET = ROOT / "docs" / "train.svg"
SAMPLE = ROOT / "shared" / "lora_drop" / "local" / "samples" / "astronaut.zip"
WIDTH, SECONDS = 92, 24.0  # columns; of the training
TITLE = "lora-drop train astronaut.zip --direct"
FRAMES = 8
SHOWN = 2.2  # seconds of each frame, and twice as long of the last
# What rich writes besides text and colours: the cursor goes up, a line is erased, the cursor is hidden.
CONTROL = re.compile(r"(\r\n|\n|\r|\x1b\[\d*A|\x1b\[\d*K|\x1b\[\?25[lh])")


@dataclass(slots=True)
class Screen:
    """The lines of a terminal, as far as rich's live views move in it."""

    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0

    def write(self, text: str) -> None:
        """Take what a program writes."""
        for part in CONTROL.split(text):
            if part in ("\r\n", "\n"):
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part.endswith("A") and part.startswith("\x1b["):
                self.row = max(0, self.row - int(part[2:-1] or 1))
            elif part.endswith("K") and part.startswith("\x1b["):
                self.lines[self.row] = ""
            elif part and part != "\r" and not part.startswith("\x1b[?25"):
                self.lines[self.row] += part


def recorded(command: Sequence[str], environment: dict[str, str], folder: Path) -> list[list[str]]:
    """Run the command in a terminal of its own, and return what it showed, one look a quarter of a second."""
    screen, shots = Screen(), list[list[str]]()
    for text in _output(command, environment, folder):
        screen.write(text)
        if not shots or shots[-1] != screen.lines:
            shots.append([*screen.lines])
    return shots


def _output(command: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[str]:
    here, there = pty.openpty()
    size = {"COLUMNS": str(WIDTH), "LINES": "40", "TERM": "xterm-256color"}
    with subprocess.Popen(  # noqa: S603  # our own command
        command, stdin=there, stdout=there, stderr=there, cwd=folder, env={**environment, **size}
    ) as process:
        os.close(there)
        while True:
            time.sleep(0.25)
            ready, _, _ = select.select([here], [], [], 0)
            try:
                data = os.read(here, 1 << 20) if ready else b""
            except OSError:  # the other end is closed
                break
            if data:
                yield data.decode("utf-8", "replace")
            elif process.poll() is not None:
                break
    os.close(here)


def chosen(shots: Sequence[list[str]]) -> list[list[str]]:
    """Return the first look with a bar, some on the way, and the last."""
    bars = [shot for shot in shots if any("left" in line for line in shot)] or list(shots)
    step = max(1, (len(bars) - 1) // (FRAMES - 2))
    return [shots[0], *bars[::step][: FRAMES - 2], shots[-1]]


def animated(frames: Sequence[list[str]]) -> str:
    """Return the frames as one SVG that shows them in turn, and stays at the last where nothing moves."""
    height = max(map(len, frames))
    drawn = [_frame([*frame, *[""] * (height - len(frame))], n) for n, frame in enumerate(frames)]
    whole = SHOWN * (len(frames) + 1)
    rules, groups = [], []
    for number, svg in enumerate(drawn):
        last = number == len(drawn) - 1
        begin, end = (
            100 * number * SHOWN / whole,
            100 if last else 100 * (number + 1) * SHOWN / whole,
        )
        hidden = f"0%,{begin - 0.01:.2f}%{{opacity:0}}" if number else ""
        after = "" if last else f"{end:.2f}%,100%{{opacity:0}}"
        rules.append(
            f"@keyframes f{number}{{{hidden}{begin:.2f}%,{end - 0.01:.2f}%{{opacity:1}}{after}}}"
            f".f{number}{{opacity:{int(last)};animation:f{number} {whole:.1f}s infinite step-end}}"
        )
        groups.append(f'<g class="f{number}">{svg}</g>')
    box = re.search(r'viewBox="([^"]+)"', drawn[0])
    view = box[1] if box else "0 0 1000 600"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" role="img" aria-label="{TITLE}">'
        f"<style>{''.join(rules)}</style>{''.join(groups)}</svg>\n"
    )


def _frame(lines: Sequence[str], number: int) -> str:
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop")
    # A picture in a README is shown without a network: the viewer's own monospaced font it is.
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title=TITLE, code_format=plain, unique_id=f"r{number}")
    return re.sub(r"\n\s*", "\n", svg).replace("\n\n", "\n")


def main() -> None:
    """Record a run, and write the picture."""
    config = SimulatorConfig(training_seconds=SECONDS)
    with tempfile.TemporaryDirectory() as name, running_simulator(config) as simulator:
        folder = Path(name)
        (folder / SAMPLE.name).write_bytes(SAMPLE.read_bytes())
        command = [sys.executable, "-m", "lora_drop", "train", SAMPLE.name, "--direct", "--yes"]
        own = {"XDG_DATA_HOME": str(folder / "data"), **simulator.access.environment()}
        shots = recorded([*command, "--to", "lora"], {**os.environ, **own}, folder)
    TARGET.write_text(animated(chosen(shots)), encoding="utf-8")


if __name__ == "__main__":
    main()
