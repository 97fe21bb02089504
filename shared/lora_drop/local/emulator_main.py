"""The emulator's own start, with a checksum in C, and with functions that are unpacked once.

Runs in the emulator's environment, not in ours. ministack 1.5.33 computes CRC-64/NVME byte by byte
in Python, which takes 20 seconds for a LoRA; the AWS CRT computes the same in hundredths of one. It
unpacks a function's code for each worker, thousands of files in the process that answers all calls:
where fifty trainings end at once, no call is answered for minutes.
"""

import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, override

from awscrt.checksums import crc64nvme
from ministack import app
from ministack.core import lambda_runtime
from ministack.services import s3

CHECK_VALUE = 0xAE8B14860A799888  # of "123456789", in the catalogue of CRC algorithms


class SharedCode(zipfile.ZipFile):
    """The ZIP of a function's code: its files are unpacked once, and every worker has a link to them."""

    folders: ClassVar[dict[tuple[tuple[str, int], ...], str]] = {}
    unpacking: ClassVar = threading.Lock()

    @override
    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        """Put the link in the place of this folder, which is new and empty."""
        content = tuple((each.filename, each.CRC) for each in self.infolist())
        with self.unpacking:
            if content not in self.folders:
                folder = tempfile.mkdtemp(prefix="code-")
                super().extractall(folder, members, pwd)
                self.folders[content] = folder
        Path(path).rmdir()
        Path(path).symlink_to(self.folders[content])


if s3._crc64nvme(b"123456789") != CHECK_VALUE:  # noqa: SLF001  # the one seam it has
    raise SystemExit(
        "this ministack has another CRC-64/NVME; look at shared/lora_drop/local/emulator_main.py"
    )
s3._crc64nvme = lambda body: crc64nvme(bytes(body))  # noqa: SLF001
# Of this module alone: other parts of the emulator unpack as before.
lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": SharedCode})
app.main()
