"""A ZIP as plain as one can be: every file stored, its size and checksum before its bytes.

Layout: APPNOTE.TXT 6.3.10, 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end). The same files
make the same bytes. No ZIP64: see ``MAX_SIZE``.
"""

import zlib
from collections.abc import Iterable, Iterator

from lora_drop.datasets.archives.records import (
    END,
    END_MAGIC,
    ENTRY,
    ENTRY_MAGIC,
    LOCAL,
    LOCAL_MAGIC,
    STORED,
    UTF8,
)

VERSION = 10  # 1.0: the ordinary kind (4.4.3.2)
MADE_ON_UNIX = 3 << 8
READABLE = 0o100644 << 16
NEW_YEAR_1980 = (1 << 5) | 1  # MS-DOS's first day: nobody's clock is in it
MAX_SIZE = 2**32 - 1
MAX_FILES = 2**16 - 1


class ArchiveTooLargeError(ValueError):
    """Raised when files do not go into a plain ZIP."""


def zip_of(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The bytes of a ZIP of these files, a piece at a time; raises ArchiveTooLargeError on the way."""
    directory: list[bytes] = []
    at = 0
    for name, data in files:
        raw = name.encode()
        flags = 0 if name.isascii() else UTF8
        about = (flags, STORED, 0, NEW_YEAR_1980, zlib.crc32(data), len(data), len(data), len(raw))
        yield LOCAL.pack(LOCAL_MAGIC, VERSION, *about, 0) + raw
        yield data
        entry = (ENTRY_MAGIC, MADE_ON_UNIX | VERSION, VERSION, *about, 0, 0, 0, 0, READABLE, at)
        directory.append(ENTRY.pack(*entry) + raw)
        at += LOCAL.size + len(raw) + len(data)
        if at > MAX_SIZE or len(directory) > MAX_FILES:
            raise ArchiveTooLargeError("more than 4 GiB, or 65,535 files")
    whole = b"".join(directory)
    count = len(directory)
    yield whole + END.pack(END_MAGIC, 0, 0, count, count, len(whole), at, 0)
