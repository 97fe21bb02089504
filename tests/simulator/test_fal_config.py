"""What a simulator can be told, and where it can be."""

import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator
from lora_drop.simulator.wire import client_context, server_context
from tests.simulator.conftest import CallTo, Simulate
from tests.simulator.fal_calls import data_uri
from tests.support.builders import make_archive


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("min_images", -1, "min_images is -1, and must be a number from 0 on"),
        ("training_seconds", -0.1, "training_seconds is -0.1, and must be a number from 0 on"),
        ("training_seconds", float("nan"), "training_seconds is nan"),
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
def test_a_setting_that_makes_no_sense_is_refused_in_a_sentence(
    setting: str, value: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=setting) as refused:
        SimulatorConfig(**{setting: value})

    assert str(refused.value).startswith(said)


def test_fewer_images_can_be_enough(simulate: Simulate, call: CallTo) -> None:
    calls = call(simulate(min_images=0))

    assert calls.trained({"images_data_url": data_uri(make_archive(images=0))})


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_it_listens_where_it_is_told_and_its_certificate_says_so(
    simulate: Simulate, call: CallTo, host: str
) -> None:
    sim = simulate(host=host)

    result = call(sim).trained()

    assert result["config_file"]["url"].startswith(f"{sim.base_url}/files/")
    assert sim.access.host == host


@pytest.mark.parametrize("name", ["172.17.0.1", "127.0.0.1", "localhost"])
def test_the_certificate_of_an_address_is_good_for_it_and_for_this_machine(
    tmp_path: Path, name: str
) -> None:
    context, ca_file = server_context(tmp_path, "172.17.0.1")

    assert handshake(context, client_context(ca_file), name) is None


def test_the_certificate_is_good_for_no_other_address(tmp_path: Path) -> None:
    context, ca_file = server_context(tmp_path, "172.17.0.1")

    failure = handshake(context, client_context(ca_file), "172.17.0.2")

    assert failure is not None
    assert "not valid for '172.17.0.2'" in failure.verify_message


def test_a_simulator_trusts_the_authority_of_the_one_before(
    simulate: Simulate, call: CallTo, tmp_path: Path
) -> None:
    first = call(simulate(state=tmp_path))
    second = simulate(state=tmp_path)

    url = f"{second.base_url}/v1/meta"

    assert first.http.get(url).status_code == 200


def test_an_address_that_is_taken_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = SimulatorConfig(port=taken.getsockname()[1])

        with pytest.raises(OSError, match="already in use"), running_simulator(config):
            pass


def test_nobody_is_served_after_the_end() -> None:
    with running_simulator(SimulatorConfig(lora_rank=1)) as sim:
        url = f"{sim.base_url}/v1/meta"
        state = sim.ca_file.parent

    with pytest.raises(httpx.ConnectError):
        httpx.get(url, verify=False, trust_env=False)  # noqa: S501 -- nobody is there
    assert not state.exists()


def test_the_environment_points_a_program_here(simulate: Simulate) -> None:
    sim = simulate(user_id="user_ada", key="secret")

    environment = sim.access.environment()

    assert environment == {
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
