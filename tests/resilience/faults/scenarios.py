"""The scenarios that are interrupted: what is special about each, and how it has to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.resilience.faults.fal import End, Request
from tests.resilience.faults.harness import Harness
from tests.support.builders import make_archive, with_exif

KEY = "portrait/ada.zip"
OTHER = "portrait/bob.zip"
MINUTE = timedelta(minutes=1)
DONE, FAILED = Status.SUCCEEDED, Status.FAILED
CANCELLED, EXPIRED, REJECTED = Status.CANCELLED, Status.EXPIRED, Status.REJECTED
NO_MONEY = Problem(code="fal_payment_required", message="fal asks for payment.")
BAD_INPUT = Problem(code="fal_invalid_input", message="fal refused the parameters.")


@dataclass(frozen=True)
class Scenario:
    """A run from the first drop to its rest; it may end in more than one way where time decides.

    Each end: how many trainings are paid, and the states of the jobs, in the alphabet's order.
    """

    name: str
    prepare: Callable[[Harness], None]
    ends: tuple[tuple[int, *tuple[Status, ...]], ...] = ((1, DONE),)


def drop(
    harness: Harness, key: str = KEY, images: int = 10, metadata: Mapping[str, str] | None = None
) -> None:
    harness.announce(harness.drop(key, make_archive(images=images), metadata))


def with_proof(harness: Harness) -> None:
    drop(harness, metadata={"proof": "true"})


def _pictures(
    change: Callable[[Request], None] = lambda _: None, **changes: object
) -> Callable[[Harness], None]:
    """A scenario with a proof sheet, whose pictures are changed when fal accepts them."""

    def prepare(harness: Harness) -> None:
        _training(drop=with_proof)(harness)
        ledger = harness.fal.on_accept

        def accepted(request: Request) -> None:
            ledger(request)
            if request.picture:
                change(request)
                vars(request).update(changes)

        harness.fal.on_accept = accepted

    return prepare


def _second_fails(request: Request) -> None:
    if request.request_id.endswith("2"):
        request.end = End.BILLED_FAILURE


def _picture_not_fetched(request: Request) -> None:
    if request.request_id.endswith("2"):
        request.end = End.NOT_FETCHED


def _picture_answer_lost(harness: Harness) -> None:
    """The answers to the POSTs of both pictures are lost, accepted as they are."""

    def lose(request: Request) -> None:
        if request.picture:
            harness.fal.lost_answers.append(SubmissionUnknownError("the answer was lost"))

    _pictures(lose, webhook_lost=True)(harness)


def _no_money_for_pictures(harness: Harness) -> None:
    harness.world.limits = Limits(max_in_flight=2, monthly_usd=3.65, job_usd=25.0)
    with_proof(harness)


def _with_a_place(harness: Harness) -> None:
    harness.announce(
        harness.drop(KEY, make_archive(images=10, members={"IMG_1.jpg": with_exif(99)}))
    )


def _training(
    change: Callable[[Request], None] = lambda _: None,
    *,
    kept_for: timedelta | None = None,
    drop: Callable[[Harness], None] = drop,
    **changes: object,
) -> Callable[[Harness], None]:
    """A scenario whose trainings are changed when fal accepts them."""

    def prepare(harness: Harness) -> None:
        ledger = harness.fal.on_accept

        def accepted(request: Request) -> None:
            ledger(request)
            change(request)
            vars(request).update(changes)
            if kept_for is not None:
                request.kept_until = request.ended_at + kept_for

        harness.fal.on_accept = accepted
        drop(harness)

    return prepare


def _not_fetched_once(request: Request) -> None:
    if request.request_id.endswith("1"):
        request.end = End.NOT_FETCHED


def _one_slot(harness: Harness) -> None:
    harness.world.limits = Limits(max_in_flight=1, monthly_usd=100.0, job_usd=25.0)
    drop(harness)
    drop(harness, OTHER, images=11)


def _deleted_in_the_line(harness: Harness) -> None:
    _one_slot(harness)
    harness.plan(harness.clock.now + 3 * MINUTE, lambda: _delete(harness, OTHER))


def _delete(harness: Harness, key: str) -> None:
    harness.datasets.put(key, None)


def _twice(harness: Harness) -> None:
    drop(harness)
    harness.plan(harness.clock.now + MINUTE, lambda: drop(harness, OTHER))


def _too_dear(harness: Harness) -> None:
    harness.world.limits = Limits(max_in_flight=2, monthly_usd=1.0, job_usd=25.0)
    drop(harness)


def _refused(error: Exception) -> Callable[[Harness], None]:
    def prepare(harness: Harness) -> None:
        harness.fal.refusals.append(error)
        drop(harness)

    return prepare


def _answer_lost(harness: Harness, drop: Callable[[Harness], None] = drop) -> None:
    harness.fal.lost_answers.append(SubmissionUnknownError("the answer was lost"))
    drop(harness)


def _by(way: DeliveryMethod) -> Callable[[Harness], None]:
    def prepare(harness: Harness) -> None:
        harness.world.way = way
        _answer_lost(harness)

    return prepare


def _cancelled(harness: Harness) -> None:
    harness.fal.training = 30 * MINUTE
    drop(harness)
    harness.plan(harness.clock.now + MINUTE, lambda: _cancel(harness))


def _cancel(harness: Harness) -> None:
    """Ask until the job is cancelled or has succeeded."""
    for job in list(harness.rows.values()):
        if job.status in (Status.SUCCEEDED, Status.CANCELLED):
            return
        harness.ask("POST", f"/jobs/{job.job_id}/cancel")
    harness.plan(harness.clock.now + MINUTE, lambda: _cancel(harness))


HAPPY = Scenario("from the drop to the LoRA", drop)
SCENARIOS = (
    HAPPY,
    Scenario("the event never comes", lambda harness: void(harness.drop(KEY))),
    Scenario("the webhook never comes", _training(webhook_lost=True)),
    Scenario("the webhook was signed too long ago", _training(signed_before=10 * MINUTE)),
    Scenario("the webhook has no payload", _training(payload_missing=True)),
    Scenario(
        "the webhook has no payload, and fal keeps none for long",
        _training(payload_missing=True, kept_for=6 * MINUTE),
        ((1, DONE), (1, EXPIRED)),
    ),
    Scenario("the training fails", _training(end=End.BILLED_FAILURE), ((1, FAILED),)),
    Scenario(
        "the training fails in silence",
        _training(end=End.BILLED_FAILURE, webhook_lost=True),
        ((1, FAILED),),
    ),
    Scenario("the result is gone", _training(webhook_lost=True, kept_for=MINUTE), ((1, EXPIRED),)),
    Scenario(
        "the queue forgot the result, and fal's list has it",
        _training(webhook_lost=True, kept_for=MINUTE, stored=True),
    ),
    Scenario("fal cannot fetch the dataset once", _training(_not_fetched_once), ((2, DONE),)),
    Scenario("the dataset cannot train", lambda s: drop(s, images=3), ((0, REJECTED),)),
    Scenario("two datasets and one slot", _one_slot, ((2, DONE, DONE),)),
    Scenario(
        "deleted in the line",
        _deleted_in_the_line,
        # before it is checked, while it waits, or when it is at fal by then
        ((1, REJECTED, DONE), (1, CANCELLED, DONE), (2, DONE, DONE)),
    ),
    Scenario("the same content twice", _twice, ((1, DONE, DONE),)),
    Scenario("too dear for the month", _too_dear),
    Scenario("fal is not reached once", _refused(NotSubmittedError("refused"))),
    Scenario("fal refuses the account once", _refused(SubmissionRefusedError(NO_MONEY, held=True))),
    # where no row has the refusal, a person lets it be sent again, and fal takes it
    Scenario(
        "fal refuses the input",
        _refused(SubmissionRefusedError(BAD_INPUT)),
        ((0, FAILED), (1, DONE)),
    ),
    Scenario("the answer to the POST is lost", _answer_lost),
    Scenario("the photos have to be mended", _with_a_place),
    Scenario(
        "the answer to the POST of a clean copy is lost", lambda s: _answer_lost(s, _with_a_place)
    ),
    Scenario("the answer is lost, and the dataset in fal's own storage", _by(DeliveryMethod.FAL)),
    Scenario("the answer is lost, and the dataset was in the request", _by(DeliveryMethod.DATA)),
    Scenario("it is unknown whether it was sent", _refused(SubmissionUnknownError("timeout"))),
    Scenario("a proof sheet", with_proof, ((3, DONE, DONE, DONE),)),
    Scenario(
        "the webhooks of the pictures never come",
        _pictures(webhook_lost=True),
        ((3, DONE, DONE, DONE),),
    ),
    Scenario("a picture fails", _pictures(_second_fails), ((3, FAILED, DONE, DONE),)),
    Scenario(
        "fal cannot fetch the LoRA once", _pictures(_picture_not_fetched), ((4, DONE, DONE, DONE),)
    ),
    Scenario(
        "the answers to the POSTs of pictures are lost",
        _picture_answer_lost,
        ((3, DONE, DONE, DONE),),
    ),
    Scenario("no money for the pictures", _no_money_for_pictures, ((3, DONE, DONE, DONE),)),
    Scenario("a person cancels it at fal", _cancelled, ((1, CANCELLED), (0, CANCELLED), (1, DONE))),
)


def void(_: object) -> None:
    """Ignore a value."""
