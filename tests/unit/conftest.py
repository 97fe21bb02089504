import pytest
import pytest_socket

from lora_drop.fal.status import FalStatus, Running
from lora_drop.ports import Submission
from tests.support.memory import MemoryFal
from tests.support.world import World


@pytest.fixture(autouse=True)
def _sockets_off() -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.fixture
def world() -> World:
    return World()


class BusyFal(MemoryFal):
    """What it was sent is being trained, where nothing else is said."""

    def ask(self, application: str, request_id: str) -> FalStatus:
        if request_id in self.facts:
            return super().ask(application, request_id)
        self.asked.append(request_id)
        return Running(request_id, started=True)


@pytest.fixture
def busy(world: World) -> World:
    """A world in which fal takes its time, and calls its requests request-1, request-2 …"""
    world.fal = BusyFal()
    world.answer(lambda: Submission(f"request-{len(world.fal.posts)}"))
    return world
