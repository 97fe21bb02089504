"""How fast the page shows and checks phone photos, and in how much memory: ``python -m benchmarks.page [COUNT]``.

500 JPEGs of 12 megapixels and about 4 MB are dropped, as a browser does it, into a process that has loaded what
``lora-drop ui`` loads; the report is held against that of ``lora-drop check``. Twenty pictures are different, the
others have other bytes.
"""

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.photos import pictures

COUNT, DIFFERENT, MEGAPIXELS = 500, 20, 12.2
QUALITY = 88  # about 4 MB
COMMENT = b"\xff\xfe"  # a segment of a JPEG that shows nothing
PROGRAMS = ("page", "command")


def make(folder: Path, count: int) -> int:
    """Write so many JPEGs; their bytes together."""
    made = []
    for image in pictures(min(count, DIFFERENT), MEGAPIXELS):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY)
        made.append(file.getvalue())
    for number in range(count):
        text = f"number {number}".encode()
        jpeg, segment = made[number % len(made)], COMMENT + (len(text) + 2).to_bytes(2) + text
        (folder / f"IMG_{number:04}.JPG").write_bytes(jpeg[:2] + segment + jpeg[2:])
    return sum(file.stat().st_size for file in folder.iterdir())


def main(count: int = COUNT) -> None:
    """Print the figures; ends with an error where the two reports differ."""
    with tempfile.TemporaryDirectory(prefix="page-") as temporary:
        folder = Path(temporary) / "photos"
        folder.mkdir()
        size = make(folder, count)
        print(f"{count} JPEGs, {size / 1e6:.0f} MB")
        reports = []
        for program in PROGRAMS:
            line = [sys.executable, "-m", "benchmarks.page_run", program, str(folder)]
            done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
            *figures, report = done.stdout.splitlines()
            print(*figures, sep="\n", flush=True)
            reports.append(json.loads(report))
    if reports[0] != reports[1]:
        sys.exit("the page's report is another one than the command's")
    print("the page's report is the command's")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
