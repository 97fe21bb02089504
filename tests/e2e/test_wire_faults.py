"""AWS and fal at their worst, on the wire of the deployed stack; then persons do what they should."""

import pytest

from tests.resilience.faults.bad_wires import Wires, run
from tests.resilience.faults.wire_rules import OUTAGE

pytestmark = pytest.mark.stack
KINDS = 25  # of those that there are: chance decides which of the rare ones strike


def test_bad_wires_break_no_promise() -> None:
    report = run(Wires(jobs=12, storm=45, limit=300))

    assert report.violations == ()
    assert sum(report.states.values()) == 12
    assert report.redriven["inbox"] > 0
    assert report.struck[OUTAGE.name] > 0
    assert sum(count > 0 for count in report.struck.values()) >= KINDS
