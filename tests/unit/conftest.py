import pytest
import pytest_socket

from tests.world import World


@pytest.fixture(autouse=True)
def _sockets_off() -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.fixture
def world() -> World:
    return World()
