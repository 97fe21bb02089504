"""What a job takes from the stack's limits follows from its moves, and from nothing else."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.jobs.budget import MICRO, Account, Booking, Charge, ChargeState, bookings, month_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import AT_FAL, TRANSITIONS, Status
from tests.support.builders import NOW, learnt, make_job

RESERVED, SPENT, WASTED = ChargeState.RESERVED, ChargeState.SPENT, ChargeState.WASTED
NEVER_AT_FAL = [Status.RECEIVED, Status.REJECTED, Status.READY, Status.HELD]


def charge(state: ChargeState, usd: float = 6.0, month: str = "2026-11") -> Charge:
    return Charge(month=month, usd=usd, state=state)


def walk(*steps: Status, billed: bool = True) -> Job:
    """A job of $6.00 that was READY and went on like this."""
    job = make_job(Status.READY)
    for step in steps:
        job = job.move(step, now=NOW, billed=billed)
    return job


@pytest.mark.parametrize("status", NEVER_AT_FAL)
def test_a_job_that_was_never_sent_has_to_do_with_no_money(status: Status) -> None:
    assert make_job(status).charges == ()


def test_a_job_is_at_fal_from_its_intent_to_its_last_word() -> None:
    assert [status for status in Status if make_job(status).at_fal] == [
        Status.SUBMITTING,
        Status.SUBMIT_UNKNOWN,
        Status.SUBMITTED,
        Status.TRAINING,
    ]


@pytest.mark.parametrize("to", sorted(AT_FAL))
def test_money_is_set_aside_with_the_intent_and_as_long_as_nobody_knows_better(to: Status) -> None:
    steps = {Status.SUBMITTING: (), Status.TRAINING: (Status.SUBMITTED, Status.TRAINING)}

    assert walk(Status.SUBMITTING, *steps.get(to, (to,))).charges == (charge(RESERVED),)


def test_money_that_is_set_aside_is_what_was_estimated_in_the_month_of_the_intent() -> None:
    ready = make_job(Status.READY, estimated_cost_usd=3.61)

    intent = ready.move(Status.SUBMITTING, now=datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))

    assert intent.charges == (charge(RESERVED, 3.61, "2026-12"),)


@pytest.mark.parametrize(
    "way",
    [
        [Status.READY],
        [Status.HELD],
        [Status.FAILED],
        [Status.SUBMIT_UNKNOWN, Status.READY],
    ],
    ids=["not sent", "refused for now", "refused", "never arrived"],
)
def test_what_fal_never_took_costs_nothing(way: list[Status]) -> None:
    assert walk(Status.SUBMITTING, *way).charges == ()


@pytest.mark.parametrize("way", [[Status.STORING], [Status.STORING, Status.SUCCEEDED]])
def test_a_result_was_worth_its_money(way: list[Status]) -> None:
    assert walk(Status.SUBMITTING, Status.SUBMITTED, *way).charges == (charge(SPENT),)


BARREN = [
    [Status.FAILED],
    [Status.CANCELLED],
    [Status.EXPIRED],
    [Status.TRAINING, Status.FAILED],
    [Status.TRAINING, Status.CANCELLED],
    [Status.TRAINING, Status.EXPIRED],
]


@pytest.mark.parametrize("way", BARREN)
def test_a_training_without_a_result_wasted_it_unless_fal_says_that_it_is_free(
    way: list[Status],
) -> None:
    assert walk(Status.SUBMITTING, Status.SUBMITTED, *way).charges == (charge(WASTED),)
    assert walk(Status.SUBMITTING, Status.SUBMITTED, *way, billed=False).charges == ()


@pytest.mark.parametrize("end", [Status.FAILED, Status.EXPIRED])
def test_a_result_that_could_not_be_kept_wasted_it(end: Status) -> None:
    assert walk(Status.SUBMITTING, Status.SUBMITTED, Status.STORING, end).charges == (
        charge(WASTED),
    )


def test_a_result_that_comes_after_all_was_worth_it() -> None:
    steps = (Status.SUBMITTING, Status.SUBMITTED, Status.EXPIRED, Status.STORING)

    assert walk(*steps).charges == (charge(SPENT),)


@pytest.mark.parametrize("back", [Status.READY, Status.HELD])
def test_what_goes_back_unbilled_may_be_paid_for_as_if_for_the_first_time(back: Status) -> None:
    job = walk(Status.SUBMITTING, Status.SUBMITTED, back, billed=False)

    assert job.charges == ()


def test_what_goes_back_billed_is_wasted_and_what_follows_counts_beside_it() -> None:
    back = walk(Status.SUBMITTING, Status.SUBMITTED, Status.HELD, Status.READY)
    again = back.move(Status.SUBMITTING, now=NOW + timedelta(days=7))
    done = again.move(Status.SUBMITTED, now=NOW).move(Status.STORING, now=NOW)

    assert back.charges == (charge(WASTED),)
    assert again.charges == (charge(WASTED), charge(RESERVED, month="2026-12"))
    assert done.charges == (charge(WASTED), charge(SPENT, month="2026-12"))


def test_what_was_wasted_once_stays_so_when_the_job_is_given_up() -> None:
    job = walk(Status.SUBMITTING, Status.SUBMITTED, Status.HELD, Status.CANCELLED)

    assert job.charges == (charge(WASTED),)


def test_a_job_of_unknown_cost_sets_nothing_aside() -> None:
    job = make_job(Status.READY, estimated_cost_usd=None).move(Status.SUBMITTING, now=NOW)

    assert [each.micro_usd for each in job.charges] == [0]


def test_what_was_trained_before_costs_nothing() -> None:
    assert make_job().move(Status.SUCCEEDED, now=NOW).charges == ()


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
        (0.01, 10_000),
        (2.01, 2_010_000),
        (4.1, 4_100_000),
        (3.6, 3_600_000),
        (0.1 + 0.2, 300_000),
        (24.0, 24_000_000),
    ],
)
def test_money_is_counted_in_whole_numbers(usd: float, micro: int) -> None:
    assert charge(SPENT, usd).micro_usd == micro


def test_what_does_not_change_is_not_booked() -> None:
    charges = (charge(WASTED), charge(RESERVED, month="2026-12"))

    assert bookings((), ()) == bookings(charges, charges) == ()


@pytest.mark.parametrize(
    ("before", "after", "booked"),
    [
        ([], [charge(RESERVED)], [Booking("2026-11", reserved=6_000_000)]),
        ([charge(RESERVED)], [], [Booking("2026-11", reserved=-6_000_000)]),
        (
            [charge(RESERVED)],
            [charge(SPENT)],
            [Booking("2026-11", reserved=-6_000_000, spent=6_000_000)],
        ),
        (
            [charge(RESERVED)],
            [charge(WASTED)],
            [Booking("2026-11", reserved=-6_000_000, spent=6_000_000, wasted=6_000_000)],
        ),
        ([charge(WASTED)], [charge(SPENT)], [Booking("2026-11", wasted=-6_000_000)]),
        (
            [charge(WASTED)],
            [charge(WASTED), charge(RESERVED, month="2026-12")],
            [Booking("2026-12", reserved=6_000_000)],
        ),
        (
            [charge(RESERVED)],
            [charge(WASTED), charge(RESERVED, 1.5)],
            [Booking("2026-11", reserved=-4_500_000, spent=6_000_000, wasted=6_000_000)],
        ),
    ],
)
def test_a_change_is_booked_in_its_month(
    before: list[Charge], after: list[Charge], booked: list[Booking]
) -> None:
    assert list(bookings(before, after)) == booked


def test_what_is_wasted_is_spent_as_well_and_only_the_rest_is_left() -> None:
    assert Booking("2026-11", reserved=1, spent=2, wasted=3).committed == 3
    assert Account("2026-11", reserved_usd=1.5, spent_usd=2.5, wasted_usd=2.0).committed_usd == 4.0


@pytest.mark.parametrize("seed", range(50))
def test_the_bookings_of_a_life_add_up_to_what_the_job_holds_at_its_end(seed: int) -> None:
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
