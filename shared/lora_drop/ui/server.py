"""The server of the page: one address on loopback, from its start to an end that leaves nothing running.

uvicorn runs in a thread, so that this one hears the signals: the first ends it within seconds, although a browser holds
connections open, and the second at once. Threads that wait for AWS or fal are daemons as uvicorn's is, and keep nothing.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from operator import attrgetter
from types import FrameType
from typing import Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from lora_drop.jobs.errors import LoraDropError
from lora_drop.ui.opening import Opening
from lora_drop.ui.security import LOOPBACK, Access, SecurityMiddleware

GRACE = 1.0  # seconds for answers that are under way
END = 2.0  # seconds, and then the thread is left behind
CONNECTIONS = 256  # a browser has six for a host
SILENT = 128  # connections of these that have sent no request yet
BACKLOG = 32  # connections that are taken at once, so that many come in before one of them counts as the oldest
HEARD = 15.0  # seconds for the headers of a request
HEADERS = 64 * 1024  # bytes of a request; cookies of all servers on 127.0.0.1 are among them
ENDS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

type Application = Callable[[], AbstractContextManager[ASGIApp]]
"""Makes the page and what it needs; leaving the context closes all of it."""


class PortOccupiedError(LoraDropError):
    """Raised when the server cannot listen on the port that it was given."""


def serve(
    application: Application,
    *,
    port: int | None = None,
    opening: Opening | None = None,
    say: Callable[[str], object],
) -> None:
    """Serve the page on 127.0.0.1 until a signal ends it.

    ``port`` None is a free one that the system chooses. ``say`` gets one line with the address, which works once, and
    ``opening`` leads a browser there. Raises PortOccupiedError and OpeningError.
    """
    with listening(port) as listener, Ending().heard() as ending, application() as page:
        access = Access(listener.getsockname()[1], spent=opening.remove if opening else None)
        server = PageServer(SecurityMiddleware(page, access), listener, ended=ending.begin)
        server.start()
        address = access.address
        say(f"Open {address}  (it works once; Ctrl-C ends the page, and no job)")
        with opening.to(address) if opening else nullcontext():
            ending.wait()
        server.stop()


class Ending:
    """Whether the page is to end: the first signal asks for it, and the second does not wait for it.

    ``wait`` reads a socket that the system's own handler of signals writes to: a signal that comes just before it, or that
    another thread gets, ends a read, and no lock (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self._asked = False
        self._woken, self._wake = socket.socketpair()
        self._wake.settimeout(0)

    @property
    def should_exit(self) -> bool:
        """Whether it is to end; sse-starlette asks this of the object that hears SIGTERM, and ends its streams."""
        return self._asked

    def begin(self) -> None:
        """Ask for the end."""
        self._asked = True
        with suppress(OSError):  # it is full, and so it wakes; or closed, when all has ended
            self._wake.send(b"\0")

    def wait(self) -> None:
        """Return once it was asked for."""
        while not self._asked:
            self._woken.recv(1)

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: end in order, and at once where it is the second."""
        if self._asked:
            os._exit(128 + number)  # processes for pictures end with their pipe
        self.begin()

    @contextmanager
    def heard(self) -> Iterator[Self]:
        """End at a signal. What the caller ignores (nohup) stays ignored; Python gives the main thread all signals."""
        main = threading.current_thread() is threading.main_thread()
        heard = [each for each in ENDS if main and signal.getsignal(each) is not signal.SIG_IGN]
        before = {each: signal.signal(each, self.hear) for each in heard}
        woken = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False) if main else -1
        try:
            yield self
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
            if main:
                signal.set_wakeup_fd(woken)
            self._woken.close()
            self._wake.close()


class PageConnection(H11Protocol):
    """A connection that is closed where a request's headers do not come, for which uvicorn has no setting.

    Of those that have said nothing yet, the oldest gives way to a new one: another program keeps nobody out by them.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to listen."""
        super().connection_made(transport)
        self._expect()
        silent = [
            each
            for each in self.connections
            if getattr(each, "cycle", None) is None and not each.transport.is_closing()
        ]
        if len(silent) > SILENT:
            min(silent, key=attrgetter("expected")).transport.abort()

    def on_response_complete(self) -> None:
        """Listen for the next request."""
        self._expect()
        super().on_response_complete()

    def _expect(self) -> None:
        self.expected = self.loop.time() + HEARD
        self.loop.call_at(self.expected, self._close_silent, self.cycle)

    def _close_silent(self, before: object) -> None:
        if self.cycle is before and not self.transport.is_closing():
            self.transport.abort()


class PageServer:
    """One run of uvicorn, in a thread of its own."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, *, ended: Callable[[], object]
    ) -> None:
        config = uvicorn.Config(
            app,
            http=PageConnection,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,  # it would have the token
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=CONNECTIONS,
            backlog=BACKLOG,
            h11_max_incomplete_event_size=HEADERS,
            timeout_graceful_shutdown=int(GRACE),
        )
        self._listener, self._ended = listener, ended
        self._server = uvicorn.Server(config)
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> None:
        """Begin to answer; where that fails, ``ended`` is called, and ``stop`` raises it."""
        self._thread.start()

    def stop(self) -> None:
        """End it, within two seconds; raises what it has failed with."""
        logging.getLogger("uvicorn.error").addFilter(_is_failure)
        self._server.should_exit = True
        self._thread.join(END)
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except BaseException as failed:  # noqa: BLE001  # raised by ``stop``
            self._failed = failed
        finally:
            self._ended()


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether uvicorn says an error at the end; that answers are cut off then is none."""
    failed = record.exc_info[1] if record.exc_info else None
    return failed is not None and not isinstance(failed, CancelledError)


@contextmanager
def listening(port: int | None) -> Iterator[socket.socket]:
    """A socket on loopback; raises PortOccupiedError.

    None is a port that the system chooses: what another program has left in the browser at a known one (a service worker,
    scripts in its cache) would be part of the page.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # On POSIX it means: also just after another server. On Windows it would mean: beside it.
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port or 0))
            listener.listen()
        except OSError as failed:
            where = f"{LOOPBACK} port {port}" if port else LOOPBACK
            more = "Leave --port out, which takes a free one." if port else "Start it again."
            raise PortOccupiedError(
                f"The page cannot listen on {where}: {failed.strerror}. {more}"
            ) from failed
        yield listener
