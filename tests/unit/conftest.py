import pytest
import pytest_socket


@pytest.fixture(autouse=True)
def _sockets_off() -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)
