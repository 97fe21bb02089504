"""Where a deployment's files and state lie, and the tools that are run, not imported.

In a checkout the project is the checkout, and its state is ``.lora-drop`` there. An installed wheel has
template.yaml, samconfig.toml, functions/ and events/ in its folder ``deployment``; SAM needs them beside
shared/lora_drop, so a project of that shape is laid out in the state folder.

SAM CLI, ministack and this project need different versions of botocore; uv keeps them apart.
``python -m lora_drop.local.tools sam …`` runs one of the tools at its pinned version.
"""

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

HOME = "LORA_DROP_HOME"
PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parents[1]  # the checkout, where there is one
# What an artifact of a function never holds; the same list as in functions/Makefile.
NOT_SHIPPED = ("__main__.py", "__pycache__", "cli", "client", "deployment", "dev", "local", "simulator", "ui")  # fmt: skip
EXTRA_MODULES = ("aiohttp", "nacl", "trustme", "yaml")  # of the extra `local`, which brings uv too
NEEDS_EXTRA = "This needs the extra “local”. Install it: pip install 'lora-drop[local]'"
UI_MODULES = ("jinja2", "sse_starlette", "starlette", "uvicorn")  # of the extra `ui`
NEEDS_UI = "The page needs the extra “ui”. Install it: pip install 'lora-drop[ui]'"
# The functions' Python, which the emulator runs them with; uv finds or fetches it.
PYTHON = sys.executable if sys.version_info[:2] == (3, 13) else "3.13"
TOOLS: Mapping[str, Sequence[str]] = {
    "sam": ("--from", "aws-sam-cli==1.170.0", "sam"),
    "ministack": (
        "--from", "ministack==1.5.33",
        "--with", "boto3==1.43.106",  # what Lambda's own runtime would have; ministack's botocore
        "--with", "aws-sam-translator==1.115.0",  # it lets the emulator read SAM templates
        "--with", "awscrt==0.38.1",
        "python", str(Path(__file__).with_name("emulator_main.py")),
    ),
    "checkov": ("--from", "checkov==3.3.30", "checkov"),
    "microburst": (
        "--from", "microburst==0.10.0",
        "python", str(Path(__file__).with_name("wire_faults_main.py")),
    ),
}  # fmt: skip


class MissingExtraError(RuntimeError):
    """Raised where a command needs what only the extra ``local`` installs; says how to install it."""


def in_checkout() -> bool:
    """Whether this package runs from a checkout of the project."""
    return PACKAGE.parent.name == "shared" and (ROOT / "template.yaml").is_file()


def state_folder() -> Path:
    """``LORA_DROP_HOME``, else ``.lora-drop`` in the checkout, else the user's data folder."""
    if home := os.environ.get(HOME):
        return Path(home)
    if in_checkout():
        return ROOT / ".lora-drop"
    return data_folder()


def none_is_up() -> str:
    """What to do where no stack is up: this folder was looked in, and a stack of another one is found by its name."""
    return (
        f"No stack is up in {state_folder().absolute()}. Start one: lora-drop up; or name the folder of one "
        f"that runs: export {HOME}=FOLDER, a line that lora-drop up prints."
    )


def data_folder() -> Path:
    """The user's folder for what this machine knows beside its configuration."""
    from platformdirs import user_data_path  # noqa: PLC0415  # a checkout's stack does without

    return user_data_path("lora-drop", appauthor=False)


def deployment_files() -> Path:
    """The folder with template.yaml, samconfig.toml, functions/ and events/."""
    return ROOT if in_checkout() else PACKAGE / "deployment"


def project_folder() -> Path:
    """The folder that SAM builds in: the checkout, else one that is laid out in the state folder.

    Its name holds the digest of its files, so that an update of the wheel does not change a folder in
    which a build may be running.
    """
    return ROOT if in_checkout() else laid_out(deployment_files(), state_folder().absolute())


def laid_out(source: Path, state: Path) -> Path:
    """The project's files below the state folder, copied there unless they are there already."""
    files = dict(_project_files(source))
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    target = state / f"project-{digest.hexdigest()[:12]}"
    if target.is_dir():
        return target
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state, prefix="project-new-") as temporary:
        new = Path(temporary) / "project"
        for name, file in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, new / name)
        try:
            new.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
    return target


def sources_digest() -> str:
    """What tells one build from another: the digest of every file it is made from, and of the tools."""
    digest = hashlib.sha256(f"{TOOLS['sam']} {PYTHON}".encode())
    base = deployment_files()
    files = [base / "template.yaml", base / "samconfig.toml", *(base / "functions").rglob("*")]
    named = [(file.relative_to(base).as_posix(), file) for file in files]
    # This folder decides how it is built.
    here = [(f"local/{file.name}", file) for file in Path(__file__).parent.glob("*.py")]
    for name, file in sorted([*named, *here, *_package_files()]):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _project_files(source: Path) -> Iterator[tuple[str, Path]]:
    """Each file by its name in the project: the deployment's, and what ships of the package."""
    for file in source.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file.relative_to(source).as_posix(), file
    yield from _package_files()


def _package_files() -> Iterator[tuple[str, Path]]:
    for file in PACKAGE.rglob("*"):
        name = file.relative_to(PACKAGE)
        shipped = name.parts[0] not in NOT_SHIPPED and "__pycache__" not in name.parts
        if shipped and file.is_file():
            yield f"shared/lora_drop/{name.as_posix()}", file


@cache
def uv() -> str:
    """The path of uv: beside this Python, else on PATH; raises MissingExtraError."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise MissingExtraError(NEEDS_EXTRA)
    return found


def require_extra() -> None:
    """Raise MissingExtraError where the extra ``local`` is not installed."""
    uv()
    if not all(importlib.util.find_spec(name) for name in EXTRA_MODULES):
        raise MissingExtraError(NEEDS_EXTRA)


def command(tool: str, *arguments: str) -> list[str]:
    """The command line that runs a tool."""
    return [uv(), "tool", "run", "--quiet", "--python", PYTHON, *TOOLS[tool], *arguments]


def environment(**more: str) -> dict[str, str]:
    """The environment of a tool: this process's, with uv and the project's own programs first on PATH."""
    folders = dict.fromkeys((str(Path(sys.executable).parent), str(Path(uv()).parent)))
    path = os.pathsep.join((*folders, os.environ.get("PATH", "")))
    return {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", **more}


def main() -> None:
    """Become the tool."""
    tool, *arguments = sys.argv[1:] or [""]
    if tool not in TOOLS:
        sys.exit(f"usage: python -m lora_drop.local.tools {'|'.join(TOOLS)} …")
    line = command(tool, *arguments)
    os.execve(line[0], line, environment())  # noqa: S606  # its own words, no shell


if __name__ == "__main__":
    main()
