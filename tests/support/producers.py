"""The programs that pack ZIPs, as people use them, each as a function from a folder to its bytes."""

import io
import os
import shutil
import stat
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.zips import Part, assembled, deflated, descriptor

type Producer = Callable[[Path], bytes]

ENVIRONMENT = {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def tool(*names: str) -> str:
    """The first of these programs that is here; the test is skipped where none is."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        missing(f"no {' or '.join(names)} on this machine")
    return found


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where every program has to be here."""
    if os.environ.get("LORA_DROP_PRODUCERS"):
        pytest.fail(reason)
    pytest.skip(reason)


def made(*command: str | Path, folder: Path) -> bytes:
    """What a program writes to the file that its last argument but the folder's names, or stdout."""
    target = folder.parent / "made.zip"
    arguments = [str(target) if part == "TARGET" else str(part) for part in command]
    done = subprocess.run(  # noqa: S603  # our own arguments
        arguments, cwd=folder, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return target.read_bytes() if target.exists() else done.stdout


def info_zip(*options: str) -> Producer:
    return lambda folder: made(tool("zip"), "-qr", *options, "TARGET", ".", folder=folder)


def info_zip_to_a_pipe(folder: Path) -> bytes:
    return made(tool("zip"), "-qr", "-", ".", folder=folder)


def seven_zip(*options: str) -> Producer:
    return lambda folder: made(
        tool("7zz", "7z", "7za"), "a", "-tzip", "-bd", *options, "TARGET", ".", folder=folder
    )


def bsdtar(*options: str) -> Producer:
    return lambda folder: made(
        tool("bsdtar"), *options, "--format", "zip", "-cf", "TARGET", ".", folder=folder
    )


def cmake(folder: Path) -> bytes:
    """libarchive as well, when it may seek."""
    names = sorted(path.name for path in folder.iterdir())
    return made(tool("cmake"), "-E", "tar", "cf", "TARGET", "--format=zip", *names, folder=folder)


def jar(options: str) -> Producer:
    return lambda folder: made(tool("jar"), options, "TARGET", ".", folder=folder)


JAVA = """
import java.io.*; import java.nio.file.*; import java.util.*; import java.util.stream.*;
import java.util.zip.*;
public class Pack {
  public static void main(String[] arguments) throws IOException {
    Path root = Path.of(".");
    try (ZipOutputStream zip = new ZipOutputStream(System.out); Stream<Path> all = Files.walk(root)) {
      zip.setComment("made by Java");
      for (Path path : (Iterable<Path>) all.skip(1).sorted()::iterator) {
        String name = root.relativize(path).toString();
        zip.putNextEntry(new ZipEntry(Files.isDirectory(path) ? name + "/" : name));
        if (Files.isRegularFile(path)) Files.copy(path, zip);
        zip.closeEntry();
      }
    }
  }
}
"""


def java(folder: Path) -> bytes:
    program = folder.parent / "Pack.java"
    program.write_text(JAVA)
    return made(
        tool("java"), "-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", program, folder=folder
    )


JSZIP = """
const fs = require("fs"), path = require("path"), JSZip = require("jszip");
const zip = new JSZip();
(function add(folder) {
  for (const entry of fs.readdirSync(folder, {withFileTypes: true})) {
    const at = path.join(folder, entry.name);
    if (entry.isDirectory()) { zip.folder(at); add(at); } else zip.file(at, fs.readFileSync(at));
  }
})(".");
zip.generateAsync({type: "nodebuffer", compression: "DEFLATE", platform: "UNIX", OPTIONS})
  .then(data => fs.writeSync(1, data));
"""


def jszip(options: str) -> Producer:
    def produced(folder: Path) -> bytes:
        node = tool("node")
        there = subprocess.run([node, "-e", 'require("jszip")'], capture_output=True, check=False)  # noqa: S603  # our own
        if there.returncode:
            missing("no jszip where node looks for it (NODE_PATH)")
        return made(node, "-e", JSZIP.replace("OPTIONS", options), folder=folder)

    return produced


def perl(folder: Path) -> bytes:
    program = (
        "use IO::Compress::Zip qw(:all); my @names = sort split /\\0/, `find . -type f -print0`; "
        "s{^\\./}{} for @names; "
        "zip [@names] => '-', Stream => 1, Efs => 1 or die $ZipError"
    )
    return made(tool("perl"), "-e", program, folder=folder)


def git(folder: Path) -> bytes:
    program = tool("git")
    mine = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for command in (("init", "-q"), ("add", "-Af"), ("commit", "-qm", "photos")):
        made(program, *mine, *command, folder=folder)
    return made(program, "archive", "--format=zip", "HEAD", folder=folder)


def python(method: int, *, wide: bool = False, seekable: bool = True) -> Producer:
    def produced(folder: Path) -> bytes:
        buffer = io.BytesIO() if seekable else Pipe()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                if path.is_dir():
                    archive.mkdir(name)
                    continue
                with archive.open(name, "w", force_zip64=wide) as member:
                    member.write(path.read_bytes())
        return buffer.getvalue()

    return produced


class Pipe(io.BytesIO):
    """A file that is only written to its end."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation


def archive_utility(folder: Path) -> bytes:
    """As the Finder of macOS: streamed, UTF-8 without its flag, and a resource fork for each file."""
    parts = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            parts.append(of_finder(name + "/", b"", mode=stat.S_IFDIR | 0o755))
            continue
        parts.append(of_finder(name, path.read_bytes()))
        fork = f"__MACOSX/{Path(name).parent.as_posix()}/._{path.name}".replace("/./", "/")
        parts.append(of_finder(fork, b"\0\5\x16\7" + bytes(100)))
    return assembled(parts)


def of_finder(name: str, content: bytes, mode: int = stat.S_IFREG | 0o644) -> Part:
    """A file, or a folder, as the Finder writes one."""
    raw, packed = name.encode(), deflated(content)
    times = struct.pack("<2HLL", 0x5855, 8, 1, 2)
    where = struct.pack("<2HLLHH", 0x5855, 12, 1, 2, 501, 20)
    made_by = {"made": 3 << 8 | 21}
    if name.endswith("/"):
        return Part(name=raw, content=b"", method=0, mode=mode, extra=times, local_extra=where,
                    entry=made_by)  # fmt: skip
    return Part(
        name=raw, content=content, flags=8, mode=mode, extra=times, local_extra=where,
        gap=descriptor(content, packed), entry=made_by,
    )  # fmt: skip


PRODUCERS: dict[str, Producer] = {
    "Info-ZIP": info_zip(),
    "Info-ZIP, stored": info_zip("-0"),
    "Info-ZIP, no extra fields": info_zip("-X", "-D"),
    "Info-ZIP, descriptors": info_zip("-fd"),
    "Info-ZIP, ZIP64": info_zip("-fz"),
    "Info-ZIP, to a pipe": info_zip_to_a_pipe,
    "7-Zip": seven_zip(),
    "7-Zip, stored": seven_zip("-mx0"),
    "bsdtar": bsdtar(),
    "bsdtar, stored": bsdtar("--options", "zip:compression=store"),
    "CMake": cmake,
    "jar": jar("cfM"),
    "jar with manifest": jar("cf"),
    "jar, stored": jar("cfM0"),
    "Java": java,
    "JSZip": jszip("streamFiles: false"),
    "JSZip, streamed": jszip("streamFiles: true"),
    "Perl": perl,
    "git": git,
    "Python": python(zipfile.ZIP_DEFLATED),
    "Python, stored": python(zipfile.ZIP_STORED),
    "Python, ZIP64": python(zipfile.ZIP_DEFLATED, wide=True),
    "Python, to a pipe": python(zipfile.ZIP_DEFLATED, seekable=False),
    "Python, stored, to a pipe": python(zipfile.ZIP_STORED, seekable=False, wide=True),
    "macOS": archive_utility,
}
