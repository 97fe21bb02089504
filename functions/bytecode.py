"""Compiles an artifact; what was compiled for another one is copied.

``python functions/bytecode.py ARTIFACT CACHE``: six artifacts hold the same boto3, and a build after a small change
holds nearly all that the one before held. The cache goes by each file's name and content, so nothing in it is ever wrong.
"""

import fcntl
import hashlib
import importlib.util
import os
import py_compile
import shutil
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

KEPT = 30 * 24 * 3600.0  # seconds since the last use
HASHED = py_compile.PycInvalidationMode.UNCHECKED_HASH  # times in a ZIP say nothing


def main(artifact: Path, cache: Path) -> None:
    """Compile every module of the artifact; raises PyCompileError for one that cannot be."""
    cache.mkdir(parents=True, exist_ok=True)
    packages = sorted(artifact.iterdir())
    # Artifacts are built side by side: each begins elsewhere, and none compiles what another is at.
    first = zlib.crc32(artifact.name.encode()) % len(packages) if packages else 0
    for package in packages[first:] + packages[:first]:
        files = [package] if package.is_file() else package.rglob("*")
        with (cache / f"{package.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _compile((file for file in files if file.suffix == ".py"), artifact, cache)
    for each in cache.glob("*.pyc"):
        if time.time() - each.stat().st_mtime > KEPT:
            each.unlink(missing_ok=True)


def _compile(files: Iterable[Path], artifact: Path, cache: Path) -> None:
    for file in files:
        name = file.relative_to(artifact).as_posix()
        said = importlib.util.MAGIC_NUMBER + f"{name}\0".encode() + file.read_bytes()
        cached = cache / f"{hashlib.sha256(said).hexdigest()}.pyc"
        if cached.exists():
            os.utime(cached)
        else:
            py_compile.compile(
                str(file), str(cached), dfile=name, doraise=True, invalidation_mode=HASHED
            )
        target = Path(importlib.util.cache_from_source(str(file)))
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(cached, target)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
