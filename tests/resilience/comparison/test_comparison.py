"""The comparison still runs, and still shows what it is for."""

from collections.abc import Iterator

import pytest

from tests.resilience.comparison.__main__ import Bench, Measured, bench, report
from tests.resilience.comparison.accidents import AFTER_IT, AROUND_THE_POST, Accident
from tests.resilience.submit_table import ROWS

ONCE, ALWAYS = False, True
ACCIDENTS = {accident.name: accident for accident in (*AROUND_THE_POST, *AFTER_IT)}


@pytest.fixture(scope="module")
def ready() -> Iterator[Bench]:
    with bench() as made:
        yield made


def outcome(ready: Bench, title: str, *, always: bool) -> list[Measured]:
    [row] = [row for row in ROWS if row.title == title]
    return list(ready.submit(row, always=always))


@pytest.mark.parametrize(
    ("title", "always", "paid"),
    [
        ("200 [paid]", ONCE, (1, 1, 1)),
        ("200 with the request id alone [paid]", ONCE, (1, 2, 1)),
        ("closed after the body [paid]", ONCE, (2, 2, 1)),
        ("502, nginx's page [paid]", ALWAYS, (10, 30, 1)),
        ("403, account locked [not paid]", ALWAYS, (0, 0, 0)),
        ("connection refused [not paid]", ALWAYS, (0, 0, 1)),
    ],
)
def test_what_each_pipeline_pays(
    ready: Bench,
    title: str,
    always: bool,  # noqa: FBT001  # a table's column
    paid: tuple[int, int, int],
) -> None:
    measured = outcome(ready, title, always=always)
    assert [each.pipeline for each in measured] == ["fal_client", "naive", "lora-drop"]
    assert tuple(each.paid for each in measured) == paid


@pytest.mark.parametrize(
    ("name", "paid", "kept"),
    [
        ("the event is delivered twice", 1, "whole"),
        ("Lambda's timeout of 60 s strikes after the POST", 2, "whole"),
        ("DynamoDB refuses the write after the POST", 2, "whole"),
        ("redriven 61 minutes after it went well", 2, "whole"),
        ("the webhook comes twice", 1, "whole"),
        ("the webhook never comes", 1, "nothing"),
        ("a forged webhook comes after the real one", 1, "another file"),
        ("the CDN hangs up in mid-file", 1, "cut short"),
    ],
)
def test_naive_pays_twice_or_loses(ready: Bench, name: str, paid: int, kept: str) -> None:
    naive, ours = ready.suffer(ACCIDENTS[name])
    assert (naive.paid, naive.kept) == (paid, kept)
    assert (ours.paid, ours.kept) == (1, "whole")


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("accident", ACCIDENTS.values(), ids=ACCIDENTS)
def test_lora_drop_pays_once_and_succeeds(ready: Bench, accident: Accident) -> None:
    """Whatever happens around the POST and after it, the job is paid once and keeps its result."""
    [ours] = [each for each in ready.suffer(accident) if each.pipeline == "lora-drop"]
    assert (ours.paid, ours.lost_ids, ours.kept, ours.says) == (1, 0, "whole", "SUCCEEDED")


def test_the_report_counts_what_went_wrong(ready: Bench) -> None:
    measured = [
        *outcome(ready, "closed after the body [paid]", always=ONCE),
        *outcome(ready, "closed after the body [paid]", always=ALWAYS),
        *ready.suffer(ACCIDENTS["the webhook never comes"]),
    ]

    lines = report(measured).splitlines()

    assert (
        "| closed after the body [paid] | 2/2 (1 lost) | 10/10 (10 lost) "
        "| 2/2 (1 lost) | 30/30 (30 lost) | 1/1 | 1/1 |"
    ) in lines
    assert "| payments too many | 1 | 9 | 1 | 29 | 0 | 0 |" in lines
    assert "| the webhook never comes | 1 | nothing | SUBMITTED | 1 | whole | SUCCEEDED |" in lines
    assert "| results lost or spoilt | 1 | 0 |" in lines
