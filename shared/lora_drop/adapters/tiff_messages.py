"""What libtiff says of a file while it decodes it: on standard error, where logs are, as Pillow sets no handler for it.

An error that libtiff reports and goes on after (TIFFError, https://libtiff.gitlab.io/libtiff/functions/TIFFError.html),
like a bad code word of a fax code, is a picture with wrong pixels; Pillow hands it on as if it were whole.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

STANDARD_ERROR = 2
MOST = 4096  # bytes that are looked at
ONE_AT_A_TIME = Lock()


@contextmanager
def tiff_errors() -> Iterator[list[str]]:
    """Keep standard error free of libtiff while the block lasts; afterwards the list has its errors."""
    found: list[str] = []
    with ONE_AT_A_TIME, tempfile.TemporaryFile() as messages:
        kept = os.dup(STANDARD_ERROR)
        os.dup2(messages.fileno(), STANDARD_ERROR)
        try:
            yield found
        finally:
            os.dup2(kept, STANDARD_ERROR)
            os.close(kept)
            messages.seek(0)
            lines = messages.read(MOST).decode(errors="replace").splitlines()
            found += [line for line in lines if ": " in line and "Warning" not in line]
