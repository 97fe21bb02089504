"""Every test run is a canary run: what is logged, sent and published is looked through for secrets."""

from typing import Any

import pytest

from tests.security.canary.taps import Watch, install, is_of_functions

WATCH = Watch()
SHOWN = 20
# Now, before the first handler is imported: the functions' own conftest does that very early.
install(WATCH)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Whose words the next ones are."""
    WATCH.test = nodeid


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What a test has left of its output: a failed one shows what it held in hand, and is not looked at."""
    if not report.failed:
        for name, text in report.sections:
            if "log" not in name:  # those went by as records
                WATCH.lines(text, secrets_alone=not is_of_functions(report.nodeid))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A hit fails the session."""
    if WATCH.hits and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The count, and each hit."""
    terminalreporter.write_line(WATCH.summary())
    for hit in WATCH.hits[:SHOWN]:
        terminalreporter.write_line(f"  {hit}", red=True)
