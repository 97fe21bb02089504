"""What can be set of a simulator, where it listens, and the simulator as a program."""

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
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator
from lora_drop.simulator.wire import client_context, server_context
from tests.simulator.conftest import Simulate
from tests.simulator.fal_calls import LIMIT, data_uri
from tests.support.builders import make_archive

PROGRAM = "import typer; from lora_drop.simulator.command import fal_sim; typer.run(fal_sim)"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("min_images", -1, "min_images is -1, and must be a number from 0 on"),
        ("training_seconds", -0.1, "training_seconds is -0.1, and must be a number from 0 on"),
        ("training_seconds", float("nan"), "training_seconds is nan"),
        ("picture_seconds", -1, "picture_seconds is -1, and must be a number from 0 on"),
        ("result_retention", float("inf"), "result_retention is inf"),
        ("lora_rank", 0, "lora_rank is 0, and must be a number from 1 on"),
        ("max_in_progress", 0, "max_in_progress is 0, and must be a number from 1 on"),
        ("webhook_backoff", -1, "webhook_backoff is -1"),
        ("webhook_backoff_cap", -1, "webhook_backoff_cap is -1"),
        ("webhook_first_timeout", 0, "webhook_first_timeout is 0, and must be"),
        ("webhook_retry_timeout", 0, "webhook_retry_timeout is 0, and must be"),
        ("balance_usd", -1, "balance_usd is -1"),
        ("port", -1, "port is -1, and must be a number from 0 on"),
        ("port", 65_536, "port is 65536, and must be 65535 at most"),
        ("host", "", "host is '': name an address"),
        ("host", "0.0.0.0", "host is '0.0.0.0': name an address"),  # noqa: S104 -- refused
        ("host", "::", "host is '::': name an address"),
    ],
)
def test_impossible_setting_is_refused(setting: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=setting) as refused:
        SimulatorConfig(**{setting: value})
    assert str(refused.value).startswith(said)


def test_fewer_images_can_be_enough(simulate: Simulate) -> None:
    dataset = data_uri(make_archive(images=0))
    assert simulate(min_images=0).trained({"images_data_url": dataset})


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_certificate_names_the_host(simulate: Simulate, host: str) -> None:
    """The simulator listens at the address that it is given, and its certificate says so."""
    calls = simulate(host=host)
    result = calls.trained()
    assert result["config_file"]["url"].startswith(f"{calls.sim.base_url}/files/")
    assert calls.sim.access.host == host


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str
) -> ssl.SSLCertVerificationError | None:
    """Why a client that expects this name does not take the server, if it does not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (asking, serving, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as error:
            return error
    return None


@pytest.mark.parametrize("name", ["172.17.0.1", "127.0.0.1", "localhost", "172.17.0.2"])
def test_certificate_of_an_address(tmp_path: Path, name: str) -> None:
    """The certificate is good for its address and for this machine, and for no other address."""
    context, ca_file = server_context(tmp_path, "172.17.0.1")
    failure = handshake(context, client_context(ca_file), name)
    if name == "172.17.0.2":
        assert failure is not None
        assert "not valid for '172.17.0.2'" in failure.verify_message
    else:
        assert failure is None


def test_authority_outlives_a_simulator(simulate: Simulate, tmp_path: Path) -> None:
    first, second = simulate(state=tmp_path), simulate(state=tmp_path)
    assert first.http.get(f"{second.sim.base_url}/v1/meta").status_code == 200


def test_taken_address_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = SimulatorConfig(port=taken.getsockname()[1])
        with pytest.raises(OSError, match="already in use"), running_simulator(config):
            pass


def test_ended_simulator_serves_nothing() -> None:
    with running_simulator(SimulatorConfig(lora_rank=1)) as sim:
        url = f"{sim.base_url}/v1/meta"
        state = sim.ca_file.parent
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, verify=False, trust_env=False)  # noqa: S501 -- no server is there
    assert not state.exists()


def test_environment_points_a_program_here(simulate: Simulate) -> None:
    sim = simulate(user_id="user_ada", key="secret").sim

    assert sim.access.environment() == {
        "FAL_RUN_HOST": sim.host_port,
        "FAL_QUEUE_RUN_HOST": sim.host_port,
        "FAL_REST_URL": sim.base_url,
        "FAL_CDN_URL": sim.base_url,
        "FAL_API_URL": f"{sim.base_url}/v1",
        "FAL_JWKS_URL": f"{sim.base_url}/.well-known/jwks.json",
        "FAL_USER_ID": "user_ada",
        "FAL_KEY": "secret",
        "ARTIFACT_HOSTS": sim.host_port,
        "SSL_CERT_FILE": str(sim.ca_file),
    }


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program with these options, and end it when the block has not done so."""
    with subprocess.Popen(  # noqa: S603 -- our own program
        [sys.executable, "-c", PROGRAM, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_program_serves_until_it_is_ended(tmp_path: Path) -> None:
    """The program prints where it is, serves over TLS, and ends in silence at a signal."""
    with running("--json", "--state", str(tmp_path / "new" / "state")) as process:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        context = ssl.create_default_context(cafile=said["ca_file"])
        with httpx.Client(base_url=said["url"], verify=context, trust_env=False) as http:
            ledger = http.get("/_sim/ledger", timeout=LIMIT).json()
            headers = {"Authorization": f"Key {said['key']}"}
            keyed = http.get("/v1/account/billing", headers=headers, timeout=LIMIT)
        process.send_signal(signal.SIGTERM)
        rest, complaints = process.communicate(timeout=LIMIT)

    assert sorted(said) == ["ca_file", "host", "key", "port", "url", "user_id"]
    assert said["url"] == f"https://127.0.0.1:{said['port']}"
    assert ledger["submissions"] == []
    assert keyed.json() == {"username": said["user_id"]}
    assert (process.returncode, rest, complaints) == (0, "", "")
    assert (tmp_path / "new" / "state" / "ca.pem").exists()


@pytest.mark.usefixtures("interruptible")
def test_program_prints_its_settings() -> None:
    """Without ``--json`` it prints the settings that point a program to it; Ctrl-C ends it too."""
    with running("--key", "secret") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(10)]
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=LIMIT)
    assert {line.split()[0] for line in lines} == {"export"}
    settings = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    assert settings["FAL_KEY"] == "secret"
    assert settings["FAL_QUEUE_RUN_HOST"].startswith("127.0.0.1:")
    assert settings["SSL_CERT_FILE"].endswith("ca.pem")
    assert (process.returncode, complaints) == (0, "")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--host", "0.0.0.0"), 2, "name an address that programs can connect to"),  # noqa: S104 -- refused
        (("--min-images", "-1"), 2, "min_images is -1, and must be a number from 0 on"),
        (("--state", "{file}"), 1, "cannot keep keys and files in {file}: File exists"),
        (
            ("--port", "{port}"),
            1,
            "cannot listen on 127.0.0.1 port {port}: Address already in use",
        ),
    ],
    ids=["wildcard", "negative", "state that is no folder", "taken port"],
)
def test_impossible_option_is_refused(
    tmp_path: Path, options: tuple[str, ...], code: int, said: str
) -> None:
    """An option that makes no sense is a usage error; what fails at the start is one clear line."""
    file = tmp_path / "file"
    file.touch()
    program = typer.Typer()
    program.command()(fal_sim)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names: dict[str, Any] = {"file": file, "port": taken.getsockname()[1]}
        words = [word.format(**names) for word in options]
        result = CliRunner().invoke(program, words, env={"COLUMNS": "200"})
    assert result.exit_code == code
    assert said.format(**names) in " ".join(result.stderr.replace("│", " ").split())
    assert code != 1 or result.stderr == f"{said.format(**names)}\n"
