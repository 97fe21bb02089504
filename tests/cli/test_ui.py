"""`lora-drop ui`: one line with the address, the browser where there is one, and an end that leaves nothing running."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import httpx
import pytest
from typer.testing import Result

from lora_drop.cli import usage
from lora_drop.local import tools
from lora_drop.ui import server
from tests.support.client_fixtures import invoke

LINE = re.compile(r"Open (http://127\.0\.0\.1:(\d+))/\?token=([\w-]{43})  \(it works once; .+\)\n")


class Running(NamedTuple):
    """The command, and a browser that has opened its page."""

    process: subprocess.Popen[str]
    client: httpx.Client
    token: str

    def ended(self, seconds: float) -> tuple[int, str, str]:
        """Its exit code and what it has written after the first line."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def workers(self) -> set[int]:
        """The processes that it has started."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(each) for file in children for each in file.read_text().split()}


@contextmanager
def started(
    tmp_path: Path, *words: str, **more: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The command, the origin of its page, and the token."""
    own = {
        "FAL_KEY": "key:secret",
        "XDG_DATA_HOME": str(tmp_path / "data"),
        tools.HOME: str(tmp_path),
        **more,
    }
    process = subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-m", "lora_drop", "ui", "--direct", *words],
        env={**os.environ, **own},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = LINE.fullmatch(line)
        assert found, (line, process.stderr and process.stderr.read())
        origin, _, token = found.groups()
        try:
            yield process, origin, token
        finally:
            process.kill()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Running]:
    with (
        started(tmp_path, "--no-open") as (process, origin, token),
        httpx.Client(
            base_url=origin, headers={"origin": origin}, trust_env=False, timeout=30
        ) as client,
    ):
        assert client.get(f"/?token={token}").status_code == 303
        yield Running(process, client, token)


def in_background(call: Callable[[], object]) -> None:
    """Make a call that the end of the page breaks off."""

    def tolerant() -> None:
        with suppress(httpx.HTTPError):
            call()

    threading.Thread(target=tolerant, daemon=True).start()


def draft_of(client: httpx.Client) -> str:
    answer = client.post("/drafts", data={"name": "ada"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["address"])


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def trickle() -> Iterator[bytes]:
    while True:
        yield b"x" * 1000
        time.sleep(0.05)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_page_soon(page: Running, tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends `lora-drop ui` within seconds, also while a browser listens and uploads: no process and no half of a file are left, and nothing is in the log."""
    draft = draft_of(page.client)
    workers = page.workers()
    assert len(workers) == 2

    def listen() -> None:
        with page.client.stream("GET", f"{draft}/events") as events:
            events.read()

    in_background(listen)
    in_background(lambda: page.client.put(f"{draft}/files?name=a.jpg", content=trickle()))
    folder = tmp_path / "data" / "lora-drop" / "drafts"
    until(lambda: [*folder.glob("*/incoming/*")])

    began = time.monotonic()
    page.process.send_signal(number)
    code, out, err = page.ended(10)

    assert (code, out, err) == (0, "", "")
    assert time.monotonic() - began < 5  # two seconds, on a machine that does more
    assert [*folder.glob("*/incoming/*")] == []
    until(lambda: not any(Path(f"/proc/{each}").exists() for each in workers))


def test_two_signals_end_it_at_once(page: Running) -> None:
    workers = page.workers()
    in_background(lambda: page.client.put("/", content=trickle()))
    page.process.send_signal(signal.SIGINT)
    page.process.send_signal(signal.SIGTERM)
    assert page.ended(10)[0] in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    until(lambda: not any(Path(f"/proc/{each}").exists() for each in workers))


BLOCKED = """
import sys, time
from contextlib import contextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from lora_drop.cli.terminal import write_line
from lora_drop.ui.server import serve

def asks_aws(_):
    print("asked", flush=True)
    time.sleep(60)

@contextmanager
def application():
    yield Starlette(routes=[Route("/", asks_aws)])
    print("closing", flush=True)
    time.sleep(float(sys.argv[1]))
    print("closed", flush=True)

serve(application, say=write_line)
"""


@pytest.mark.parametrize(
    ("closing", "signals", "written", "code"),
    [("0", 1, ["closing", "closed"], 0), ("60", 2, ["closing"], 128 + signal.SIGINT)],
)
def test_nothing_that_blocks_is_waited_for(
    closing: str, signals: int, written: list[str], code: int
) -> None:
    """Not a call to AWS that a thread waits for, nor, at the second signal, what is being closed."""
    line = [sys.executable, "-c", BLOCKED, closing]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own words
        assert process.stdout is not None
        found = LINE.fullmatch(process.stdout.readline())
        assert found is not None
        origin, _, token = found.groups()
        with httpx.Client(base_url=origin, trust_env=False, timeout=60) as client:
            assert client.get(f"/?token={token}").status_code == 303
            in_background(lambda: client.get("/"))
            assert process.stdout.readline() == "asked\n"
            began = time.monotonic()
            said = []
            for _ in range(signals):
                process.send_signal(signal.SIGINT)
                said.append(process.stdout.readline().strip())
            said += process.stdout.read().split()
        assert (process.wait(10), [each for each in said if each]) == (code, written)
        assert time.monotonic() - began < 5


ELSEWHERE = """
import signal, threading
from contextlib import nullcontext
from starlette.applications import Starlette
from starlette.routing import Route
from lora_drop.cli.terminal import write_line
from lora_drop.ui.server import serve

def ends(_):
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

serve(lambda: nullcontext(Starlette(routes=[Route("/", ends)])), say=write_line)
"""


def test_a_signal_that_another_thread_gets_ends_it() -> None:
    """The system gives a signal to another thread while the main one has one to hear already."""
    line = [sys.executable, "-c", ELSEWHERE]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own words
        assert process.stdout is not None
        found = LINE.fullmatch(process.stdout.readline())
        assert found is not None
        origin, _, token = found.groups()
        try:
            with httpx.Client(base_url=origin, trust_env=False) as client:
                assert client.get(f"/?token={token}").status_code == 303
                in_background(lambda: client.get("/"))
                assert process.wait(10) == 0
        finally:
            process.kill()


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with server.Ending().heard() as ending:
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == ending.hear
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """What the command would serve."""
    serve = Mock()
    monkeypatch.setattr(server, "serve", serve)
    return serve


@pytest.mark.parametrize(
    ("words", "port", "opens"),
    [((), None, True), (("--no-open",), None, False), (("--port", "9000"), 9000, True)],
)
def test_options_reach_the_server(
    served: Mock,
    words: tuple[str, ...],
    port: int | None,
    opens: bool,  # noqa: FBT001
) -> None:
    assert invoke("ui", *words).exit_code == 0
    [call] = served.call_args_list
    assert call.kwargs["port"] == port
    assert (call.kwargs["opening"] is not None) is opens


OPENS = """#!/bin/sh
echo "$1" > started
sed -n 's/.*url=\\([^"]*\\)".*/\\1/p' "$(echo "$1" | sed 's,^file://,,')" > address
sleep 3
:
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks into /proc")
@pytest.mark.promise("nothing leaks")
def test_no_command_line_has_the_token(tmp_path: Path) -> None:
    """`lora-drop ui` starts the browser with a file that leads to the page: no process's command line has the token, and the file goes with its use."""
    browser, folder = tmp_path / "browser", tmp_path / "data" / "lora-drop" / "opening"
    browser.write_text(OPENS)
    browser.chmod(0o755)
    more = {"BROWSER": f"{browser} %s", "DISPLAY": ":9"}
    with started(tmp_path, **more) as (process, origin, token):
        until((tmp_path / "address").is_file)
        until((tmp_path / "address").read_text)
        lines = b""
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                lines += each.read_bytes()
        assert (str(browser).encode() in lines, token.encode() in lines) == (True, False)
        [file] = folder.iterdir()
        assert (tmp_path / "started").read_text().strip() == file.as_uri()
        address = (tmp_path / "address").read_text().strip()
        assert address == f"{origin}/?token={token}"
        assert httpx.get(address, trust_env=False).status_code == 303
        assert [*folder.iterdir()] == []
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def without_a_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *words: str) -> Result:
    monkeypatch.setenv(tools.HOME, str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return invoke("ui", "--no-open", *words)


def test_a_missing_key_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = without_a_stack(monkeypatch, tmp_path, "--direct")
    assert (result.exit_code, "FAL_KEY" in result.stderr) == (1, True)
    assert "token" not in result.stdout


def test_a_port_that_is_taken_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = without_a_stack(monkeypatch, tmp_path, "--direct", "--port", str(port))
    assert result.exit_code == 1
    assert f"127.0.0.1 port {port}" in result.stderr
    assert "Leave --port out" in result.stderr


def test_the_port_is_new_each_time() -> None:
    """No program knows it before, and none waits at the one of yesterday."""
    ports = set()
    for _ in range(8):
        with server.listening(None) as listener:
            host, port = listener.getsockname()
        assert host == "127.0.0.1"
        ports.add(port)
    assert len(ports) > 4  # the system may give one twice


@pytest.mark.parametrize("screen", [None, *usage.SCREENS])
def test_a_browser_needs_a_screen(monkeypatch: pytest.MonkeyPatch, screen: str | None) -> None:
    opened = Mock(return_value=True)
    monkeypatch.setattr("webbrowser.open", opened)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in usage.SCREENS:
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(screen, ":0")
    assert usage.in_browser("http://127.0.0.1:1/") is (screen is not None)
    assert opened.called is (screen is not None)


def test_a_page_that_does_not_start_is_raised() -> None:
    said: list[Any] = []

    class Broken:
        def __enter__(self) -> Any:
            raise RuntimeError("no page")

        def __exit__(self, *_: object) -> None: ...

    with pytest.raises(RuntimeError, match="no page"):
        server.serve(Broken, say=said.append)
    assert said == []
