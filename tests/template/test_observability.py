"""One place names what is counted: who counts, who watches and who draws use those names alone."""

import re
from pathlib import Path

from lora_drop.jobs.status import Status
from lora_drop.observability import OUTCOMES, Metric
from tests.support.template import TEMPLATE

FUNCTIONS = Path(__file__).parents[2] / "functions"


def test_functions_count_by_these_names_and_by_no_other() -> None:
    code = "\n".join(path.read_text() for path in sorted(FUNCTIONS.glob("*/handler.py")))
    first_words = set(re.findall(r"add_metric\(\s*([\w.]+)", code))
    used = set(re.findall(r"Metric\.([A-Z_]+)", code)) | {each.name for each in OUTCOMES.values()}

    assert {word for word in first_words if not word.startswith("Metric.")} == {
        "COUNTED",
        "counted",
        "outcome",
    }
    assert used == set(Metric.__members__)


def test_every_end_of_a_job_has_a_name() -> None:
    assert set(OUTCOMES) == {status for status in Status if status.terminal}


def test_nothing_is_watched_or_drawn_that_nobody_counts() -> None:
    template = TEMPLATE.read_text()
    alarms = re.findall(r"Namespace: LoraDrop\n\s+MetricName: (\w+)", template)
    drawn = re.findall(r'\["LoraDrop", ?"(\w+)"', template)

    assert alarms
    assert drawn
    assert {*alarms, *drawn} <= set(Metric)
