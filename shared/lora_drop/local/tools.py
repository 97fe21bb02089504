"""The tools that are run, not imported, each in an environment of its own at a pinned version.

SAM CLI, ministack and this project need different versions of botocore; uv keeps them apart.
``python -m lora_drop.local.tools sam …`` runs one of them.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
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


def command(tool: str, *arguments: str) -> list[str]:
    """The command line that runs a tool; uv is beside this Python."""
    uv = Path(sys.executable).with_name("uv")
    return [str(uv), "tool", "run", "--quiet", "--python", sys.executable, *TOOLS[tool], *arguments]


def environment(**more: str) -> dict[str, str]:
    """What a tool runs with: this environment, the project's own programs first on PATH."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
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
