"""The simulator as a program."""

import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from lora_drop.simulator.command import fal_sim

PROGRAM = (sys.executable, "-c")
CALL = "import typer; from lora_drop.simulator.command import fal_sim; typer.run(fal_sim)"


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """The program with these options; it is ended when the block has not done so."""
    with subprocess.Popen(  # noqa: S603 -- our own program
        [*PROGRAM, CALL, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def refused(*options: str) -> tuple[int, str]:
    """How the command ends that does not start, and what it says on stderr."""
    program = typer.Typer()
    program.command()(fal_sim)
    result = CliRunner().invoke(program, options, env={"COLUMNS": "200"})
    return result.exit_code, result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_tells_where_it_is_serves_over_tls_and_ends_when_it_is_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running("--json", "--state", str(tmp_path / "new" / "state")) as process:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        context = ssl.create_default_context(cafile=told["ca_file"])
        with httpx.Client(base_url=told["url"], verify=context, trust_env=False) as http:
            ledger = http.get("/_sim/ledger").json()
            keyed = http.get("/v1/account/billing", headers={"Authorization": f"Key {told['key']}"})
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=20)

    assert sorted(told) == ["ca_file", "host", "key", "port", "url", "user_id"]
    assert told["url"] == f"https://127.0.0.1:{told['port']}"
    assert ledger["submissions"] == []
    assert keyed.json() == {"username": told["user_id"]}
    assert (process.returncode, rest, complaints) == (0, "", "")
    assert (tmp_path / "new" / "state" / "ca.pem").exists()


def test_without_json_it_prints_the_settings_that_point_a_program_to_it() -> None:
    with running("--key", "secret") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(10)]

    settings = dict(line.split("=", 1) for line in lines)
    assert settings["FAL_KEY"] == "secret"
    assert settings["FAL_QUEUE_RUN_HOST"].startswith("127.0.0.1:")
    assert settings["SSL_CERT_FILE"].endswith("ca.pem")


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running("--port", str(port)) as process:
            _, said = process.communicate(timeout=20)

    assert process.returncode == 1
    assert said == f"cannot listen on 127.0.0.1 port {port}: Address already in use\n"


def test_a_state_that_is_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    assert refused("--state", str(file)) == (
        1,
        f"cannot keep keys and files in {file}: File exists\n",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "0.0.0.0"), "name an address that programs can connect to"),  # noqa: S104 -- refused
        (("--min-images", "-1"), "min_images is -1, and must be a number from 0 on"),
    ],
    ids=["wildcard", "negative"],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(
    options: tuple[str, ...], said: str
) -> None:
    code, complaint = refused(*options)

    assert code == 2
    assert said in " ".join(complaint.replace("│", " ").split())
