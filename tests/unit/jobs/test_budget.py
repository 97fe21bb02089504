"""What a job takes from the stack's limits follows from its moves, and from nothing else."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.jobs.budget import MICRO, Account, Booking, Charge, ChargeState, bookings, month_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import TRANSITIONS, Status
from tests.support.builders import NOW, learnt, make_job

RESERVED, SPENT, WASTED = ChargeState.RESERVED, ChargeState.SPENT, ChargeState.WASTED
FREE = ChargeState.FREE


def charge(state: ChargeState, usd: float = 6.0, month: str = "2026-11") -> Charge:
    return Charge(month=month, usd=usd, state=state)


def walk(*steps: Status, billed: bool = True) -> Job:
    """A job of $6.00 that was READY and went on like this."""
    job = make_job(Status.READY)
    for step in steps:
        job = job.move(step, now=NOW, billed=billed)
    return job


def test_an_intent_is_at_fal() -> None:
    assert [status for status in Status if make_job(status).at_fal] == [
        *(Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.SUBMITTED, Status.TRAINING),
    ]


@pytest.mark.parametrize(("estimate", "usd"), [(3.61, 3.61), (None, 0.0)])
def test_the_estimate_is_reserved_that_month(estimate: float | None, usd: float) -> None:
    """The estimated cost is reserved in the month of the intent, and nothing where it is unknown."""
    ready = make_job(Status.READY, estimated_cost_usd=estimate)
    intent = ready.move(Status.SUBMITTING, now=datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert intent.charges == (charge(RESERVED, usd, "2026-12"),)


SENT = [Status.SUBMITTED, Status.STORING]
RUNNING = [Status.SUBMITTED, Status.TRAINING]
WAYS = [
    *((way, True, (charge(RESERVED),)) for way in ([], [Status.SUBMIT_UNKNOWN], SENT[:1], RUNNING)),
    *(([end], True, ()) for end in (Status.READY, Status.HELD, Status.FAILED)),
    ([Status.SUBMIT_UNKNOWN, Status.READY], True, ()),
    *((SENT, True, (charge(SPENT),)), ([*SENT, Status.SUCCEEDED], True, (charge(SPENT),))),
    *(([*SENT, end], True, (charge(WASTED),)) for end in (Status.FAILED, Status.EXPIRED)),
    ([Status.SUBMITTED, Status.EXPIRED, Status.STORING], True, (charge(SPENT),)),
    ([Status.SUBMITTED, Status.HELD, Status.CANCELLED], True, (charge(WASTED),)),
    # Without a result its money is wasted, unless fal says that it is free.
    *(
        ([*way, end], billed, (charge(WASTED if billed else FREE),))
        for way in ([Status.SUBMITTED], RUNNING)
        for end in (Status.FAILED, Status.CANCELLED, Status.EXPIRED)
        for billed in (True, False)
    ),
    *(([Status.SUBMITTED, back], False, (charge(FREE),)) for back in (Status.READY, Status.HELD)),
]


@pytest.mark.promise(
    "never pay twice",
    "Money is reserved with the intent to submit, and stays so until the outcome is known.",
)
@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(("way", "billed", "charges"), WAYS)
def test_charges_follow_from_the_moves(
    way: list[Status], charges: tuple[Charge, ...], *, billed: bool
) -> None:
    """A job is charged for what fal trained, once, and for nothing else."""
    assert walk().charges == make_job().move(Status.SUCCEEDED, now=NOW).charges == ()
    assert walk(Status.SUBMITTING, *way, billed=billed).charges == charges


def test_a_second_attempt_counts_beside() -> None:
    """A billed attempt that failed stays charged, and the next one counts beside it."""
    back = walk(Status.SUBMITTING, Status.SUBMITTED, Status.HELD, Status.READY)
    again = back.move(Status.SUBMITTING, now=NOW + timedelta(days=7))
    done = again.move(Status.SUBMITTED, now=NOW).move(Status.STORING, now=NOW)
    assert back.charges == (charge(WASTED),)
    assert again.charges == (charge(WASTED), charge(RESERVED, month="2026-12"))
    assert done.charges == (charge(WASTED), charge(SPENT, month="2026-12"))


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC), "2026-11"),
        (datetime(2026, 12, 1, tzinfo=UTC), "2026-12"),
        (datetime(2027, 1, 1, tzinfo=UTC), "2027-01"),
    ],
)
def test_a_month_turns_at_midnight_utc(moment: datetime, month: str) -> None:
    assert month_of(moment) == month


@pytest.mark.parametrize(
    ("usd", "micro"),
    [
        *((0.01, 10_000), (2.01, 2_010_000), (4.1, 4_100_000), (3.6, 3_600_000)),
        *((0.1 + 0.2, 300_000), (24.0, 24_000_000)),
    ],
)
def test_money_is_counted_in_whole_numbers(usd: float, micro: int) -> None:
    assert charge(SPENT, usd).micro_usd == micro


def test_no_change_is_no_booking() -> None:
    charges = (charge(WASTED), charge(RESERVED, month="2026-12"))
    assert bookings((), ()) == bookings(charges, charges) == ()


@pytest.mark.parametrize(
    ("before", "after", "month", "booked"),
    [
        ([], [charge(RESERVED)], "2026-11", (6, 0, 0)),
        ([charge(RESERVED)], [], "2026-11", (-6, 0, 0)),
        ([charge(RESERVED)], [charge(SPENT)], "2026-11", (-6, 6, 0)),
        ([charge(RESERVED)], [charge(WASTED)], "2026-11", (-6, 6, 6)),
        ([charge(WASTED)], [charge(SPENT)], "2026-11", (0, 0, -6)),
        ([charge(WASTED)], [charge(WASTED), charge(RESERVED, 6, "2026-12")], "2026-12", (6, 0, 0)),
        ([charge(RESERVED)], [charge(WASTED), charge(RESERVED, 2)], "2026-11", (-4, 6, 6)),
    ],
)
def test_changes_are_booked_in_its_month(
    before: list[Charge], after: list[Charge], month: str, booked: tuple[int, int, int]
) -> None:
    reserved, spent, wasted = (MICRO * usd for usd in booked)
    booking = Booking(month, reserved=reserved, spent=spent, wasted=wasted)
    assert list(bookings(before, after)) == [booking]


def test_wasted_money_is_spent_as_well() -> None:
    assert Booking("2026-11", reserved=1, spent=2, wasted=3).committed == 3
    assert Account("2026-11", reserved_usd=1.5, spent_usd=2.5, wasted_usd=2.0).committed_usd == 4.0


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("seed", range(50))
def test_bookings_add_up_to_the_charges(seed: int) -> None:
    """The bookings of a whole life add up to what the job is charged at its end."""
    chance = random.Random(seed)  # noqa: S311  # a walk, no secret
    job, now, sums = make_job(), NOW, dict[str, list[int]]()
    while TRANSITIONS[job.status] and len(job.history) < 40:
        now += timedelta(days=chance.randrange(20))
        step = chance.choice(sorted(TRANSITIONS[job.status]))
        after = job.move(step, now=now, billed=chance.random() < 0.5, **learnt(step))
        for booking in bookings(job.charges, after.charges):
            had = sums.setdefault(booking.month, [0, 0, 0])
            had[0] += booking.reserved
            had[1] += booking.spent
            had[2] += booking.wasted
        job = after

    assert all(reserved >= 0 and spent >= wasted >= 0 for reserved, spent, wasted in sums.values())
    assert sum(reserved for reserved, _, _ in sums.values()) == (6 * MICRO if job.at_fal else 0)
    assert sum(reserved + spent for reserved, spent, _ in sums.values()) == sum(
        each.micro_usd for each in job.charges
    )
