"""``python -m benchmarks.copy_run PROGRAM URL SMALL KEY``: one copy, in a process of its own: seconds, CPU and memory.

A small file is copied before, so that everything is loaded and connected when the clock starts.
"""

import importlib
import json
import os
import sys
import time

from benchmarks.memory import at_rest, peak

# Each is a function `(url) -> (key) -> SHA-256 or nothing`.
PROGRAMS = {
    "ours": "copy_ours",
    "reading": "copy_ours",
    "upload_fileobj": "copy_peers",
    "obstore_put": "copy_peers",
    "crt_put": "copy_peers",
}


def main(program: str, url: str, small: str, key: str) -> None:
    """Print what the copy took."""
    make = getattr(importlib.import_module(f"benchmarks.{PROGRAMS[program]}"), program)
    make(small)(f"{key}.json")
    copy = make(url)
    rest = at_rest()
    used, begun = time.process_time(), time.monotonic()
    sha256 = copy(key)
    seconds = time.monotonic() - begun
    cpu = time.process_time() - used
    said = {"seconds": seconds, "cpu": cpu, "memory": peak() - rest, "sha256": sha256 or ""}
    print(json.dumps(said), flush=True)
    os._exit(0)  # obstore's threads abort the process when they are ended


if __name__ == "__main__":
    main(*sys.argv[1:])
