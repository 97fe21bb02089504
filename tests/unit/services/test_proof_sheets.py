"""A proof sheet is ordered with its dataset, its pictures are opened once, and the sheet ends when all of them have."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from lora_drop.client.proof_words import proof_cost_words, proof_usd
from lora_drop.fal.status import Failed, Gone
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.errors import ConflictError, JobNotFoundError
from lora_drop.jobs.job import Job
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from lora_drop.services.proof_sheets import FORGOTTEN
from lora_drop.services.record import SETTLED_AFTER
from tests.support.builders import ADA, BAD_IMAGE, make_job
from tests.support.outcome import Killed
from tests.support.proofs import PICTURES, make, make_all, numbered_requests, pictures, trained
from tests.support.queue import codes
from tests.support.world import LATE_AFTER, World

KREA = "fal-ai/flux-krea-trainer"


@pytest.mark.promise("never pay twice")
def test_four_pictures_are_paid_once() -> None:
    """Each picture of a proof sheet is paid for once, however often its messages come."""
    world = World()
    training = trained(world)
    done = make_all(world, training)
    for _ in range(2):
        world.result_storer.store_result(training.job_id)
        world.proof_sheets.finish(training.job_id)
        world.work()

    assert [each.status for each in pictures(world, training)] == [Status.SUCCEEDED] * PICTURES
    assert len(world.fal.posts) == 1 + PICTURES
    assert done.proof
    assert done.proof.done_at
    assert done.proof.likeness
    assert world.job(training.job_id) == done
    account = world.jobs.account("2026-11")
    assert (round(account.spent_usd, 2), account.reserved_usd) == (3.60 + 4 * 0.035, 0)


@pytest.mark.parametrize(
    ("stack", "said", "ordered"),
    [
        (False, None, False),
        (True, None, True),
        (False, "true", True),
        (True, "false", False),
        (False, " True ", True),
    ],
)
def test_dataset_decides_before_the_stack(stack: bool, said: str | None, ordered: bool) -> None:  # noqa: FBT001
    world = World(proof_sheet=stack)
    job = world.submit(world.drop(metadata={} if said is None else {"proof": said}))
    assert job.status is Status.SUBMITTED
    assert (job.proof == ProofSheet()) is ordered
    assert (job.proof is None) is not ordered


def test_misspelt_order_is_refused() -> None:
    world = World()
    job = world.submit(world.drop(metadata={"proof": "perhaps"}))
    assert (job.status, codes(job)) == (Status.REJECTED, ["parameter_invalid_type"])
    assert world.fal.posts == []


def test_trainer_without_endpoint_has_none() -> None:
    """A trainer whose LoRA no known endpoint takes gets no sheet, and the job says why."""
    world = World()
    job = world.submit(world.drop(metadata={"proof": "true", "trainer": KREA}))
    assert job.proof
    assert job.proof.done_at
    assert KREA in job.proof.note
    assert not world.train(job).proof_open
    assert pictures(world, job) == []


def test_duplicate_orders_no_second_sheet() -> None:
    """A dataset that gets an earlier job's files gets no pictures where that LoRA has its sheet."""
    world = World()
    training = make_all(world, trained(world))
    again = world.submit(world.drop("portrait/again.zip", metadata={"proof": "true"}))
    assert again.duplicate_of == training.job_id
    assert again.proof
    assert training.job_id in again.proof.note
    assert len(world.fal.posts) == 1 + PICTURES


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("settled", [False, True])
def test_sheet_is_ordered_for_earlier_lora(settled: bool) -> None:  # noqa: FBT001
    """A dataset that was trained without a proof sheet gets one for its four pictures alone, once."""
    world = World()
    training = world.train(world.submit(world.drop()))
    if settled:  # and off the list of open jobs
        world.clock.now += SETTLED_AFTER
        world.reconciler.reconcile()
        assert list(world.jobs.unfinished()) == []
    for number in range(3):
        drop = world.drop(f"portrait/again-{number}.zip", metadata={"proof": "true"})
        assert world.submit(drop).duplicate_of == training.job_id
    done = make_all(world, world.job(training.job_id))
    assert done.proof
    assert done.proof.done_at
    assert len(pictures(world, training)) == PICTURES
    assert len(world.fal.posts) == 1 + PICTURES


def test_duplicate_pays_for_what_it_orders_alone() -> None:
    """The stack's own setting makes no sheet of a LoRA that is there: the same dataset again costs nothing."""
    world = World(proof_sheet=True)
    training = world.train(world.submit(world.drop(metadata={"proof": "false"})))
    again = world.submit(world.drop("portrait/again.zip"))
    assert (again.duplicate_of, again.proof) == (training.job_id, None)
    assert world.job(training.job_id).proof is None
    assert len(world.fal.posts) == 1


@pytest.mark.promise("never get stuck")
def test_late_order_is_gone_on_with() -> None:
    """A submitter that dies after it has ordered a sheet for an earlier LoRA leaves it to the next round."""
    world = World(limits=Limits(max_in_flight=1))
    numbered_requests(world)
    training = world.train(world.submit(world.drop()))
    world.limits = Limits(max_in_flight=0)  # it dies before anything is sent
    world.submit(world.drop("portrait/again.zip", metadata={"proof": "true"}))
    world.limits = Limits(max_in_flight=1)
    for each in pictures(world, training)[1:]:
        del world.jobs.rows[each.job_id]
    world.queue.datasets.clear()
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    done = make_all(world, world.job(training.job_id))
    assert len(pictures(world, training)) == PICTURES
    assert done.proof
    assert done.proof.done_at


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("opened", range(PICTURES + 1))
def test_interrupted_order_is_gone_on_with(opened: int) -> None:
    """A worker may die between any two pictures that it opens: the next one opens the rest."""
    world = World()
    training = trained(world)
    for each in pictures(world, training)[opened:]:
        del world.jobs.rows[each.job_id]
    world.queue.datasets.clear()
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    done = make_all(world, training)
    assert len(pictures(world, training)) == PICTURES
    assert done.proof
    assert done.proof.done_at
    assert len(world.fal.posts) == 1 + PICTURES


@pytest.mark.promise("never get stuck")
def test_lost_message_is_made_good() -> None:
    """The reconciler asks for a sheet whose pictures have ended when the message was lost."""
    world = World()
    training = trained(world)
    world.work()
    while left := [each for each in pictures(world, training) if each.status is Status.SUBMITTED]:
        for each in left:
            make(world, each)
        world.queue.proofs.clear()
        world.work()
    world.queue.proofs.clear()
    assert world.job(training.job_id).proof_open

    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    world.work()
    assert not world.job(training.job_id).proof_open


def test_sheet_waits_for_every_picture() -> None:
    """A picture that is held keeps the sheet, and its training, open."""
    world = World()
    training = trained(world)
    first, *others = pictures(world, training)
    world.holds(first.model_copy(update={"status": Status.HELD, "version": 2}))
    make_all(world, training)
    assert {world.job(each.job_id).status for each in others} == {Status.SUCCEEDED}
    assert world.proof_sheets.finish(training.job_id).proof_open
    world.clock.now += SETTLED_AFTER
    world.reconciler.reconcile()
    assert training.job_id in [each.job_id for each in world.jobs.unfinished()]

    world.manual_actions.cancel(first.job_id, by="ada")
    world.work()
    done = world.job(training.job_id)
    assert not done.proof_open
    assert world.proofs.measured == [(done.job_id, done.proof.pictures if done.proof else ())]


def test_sheet_goes_without_failed_picture() -> None:
    """A picture that failed is not paid for again, and the sheet is made without it."""
    world = World()
    training = trained(world)
    world.work()
    first = pictures(world, training)[0]
    world.fal_updates.receive(first.job_id, Failed(first.request_id or "", BAD_IMAGE, billed=True))
    done = make_all(world, training)
    assert not done.proof_open
    assert world.job(first.job_id).status is Status.FAILED
    assert len(world.fal.posts) == 1 + PICTURES
    assert world.jobs.account("2026-11").wasted_usd == 0.035


@pytest.mark.promise("never lose a result")
def test_late_picture_is_taken_in() -> None:
    """A picture whose result comes after the sheet was done is stored, and the sheet made again."""
    world = World()
    training = trained(world)
    world.work()
    first = pictures(world, training)[0]
    world.fal_updates.receive(first.job_id, Gone(first.request_id or ""), asked=True)
    world.fal_updates.receive(first.job_id, Gone(first.request_id or ""), asked=True, doubted=True)
    make_all(world, training)
    assert world.job(first.job_id).status is Status.EXPIRED
    assert len(world.proofs.measured) == 1

    assert make(world, first).status is Status.SUCCEEDED
    world.queue.proofs.clear()  # the message is lost
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    world.work()
    assert len(world.proofs.measured) == 2


def test_broken_comparison_ends_the_sheet() -> None:
    """A mistake of ours where the sheet is written leaves the pictures, and a note that there is no page of them."""
    world = World()
    world.proofs.breaks = ValueError("no such face")
    done = make_all(world, trained(world))
    assert done.proof
    assert (done.proof_open, done.proof.likeness) == (False, None)
    assert "no proof.html" in done.proof.note
    assert "ValueError" in done.proof.note
    assert "no such face" not in done.proof.note


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("forgotten", [1, PICTURES])
def test_interrupted_forget_ends_the_sheet(forgotten: int) -> None:
    """A forget that dies between the pictures and their training leaves a sheet that ends, and can be repeated."""
    world = World()
    training = trained(world)
    world.work()
    while at_fal := [each for each in pictures(world, training) if each.status is Status.SUBMITTED]:
        for each in at_fal:
            make(world, each)
        world.queue.proofs.clear()  # the messages are lost
        world.work()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.jobs, "begin", Dying(world.jobs.begin, forgotten))
        with pytest.raises(Killed):
            world.forget_service.forget(training.job_id)

    for _ in range(2):
        world.clock.now += SETTLED_AFTER
        world.reconciler.reconcile()
        world.work()
    done = world.job(training.job_id)
    assert not done.proof_open
    assert (FORGOTTEN in (done.proof.note if done.proof else "")) is (forgotten == PICTURES)
    assert list(world.jobs.unfinished()) == []
    assert len(world.forget_service.forget(training.job_id)) == 1 + PICTURES
    assert world.jobs.get(training.job_id) is None


@dataclass
class Dying:
    """Begins so many erasures and dies before the next."""

    begin: Callable[[Job, Erasure], None]
    left: int

    def __call__(self, job: Job, erasure: Erasure) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1
        self.begin(job, erasure)


STYLES = [
    ("portrait/ada.zip", {"preset": "style"}),
    ("ada.zip", {"trainer": "fal-ai/flux-lora-fast-training", "is_style": "true"}),
    ("ada.zip", {"trainer": "fal-ai/turbo-flux-trainer", "training_style": "style"}),
]


@pytest.mark.parametrize(("key", "said"), STYLES)
def test_style_by_value_has_style_prompts(key: str, said: dict[str, str]) -> None:
    """A training of a style has pictures of a style, whether its folder or a value says what it is."""
    world = World()
    numbered_requests(world)
    sent = world.submit(world.drop(key, metadata={"proof": "true", **said}))
    assert sent.status is Status.SUBMITTED, sent.problems
    training = world.train(sent)
    prompts = [each.picture.prompt for each in pictures(world, training) if each.picture]
    assert len(prompts) == PICTURES
    assert all("in the style of" in prompt for prompt in prompts)


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.SUCCEEDED])
def test_only_a_success_opens_pictures(status: Status) -> None:
    world = World()
    job = world.holds(make_job(status, proof=ProofSheet()))
    assert world.proof_orders.begin(job) == job
    assert world.proof_sheets.finish(job.job_id) == job
    assert set(world.jobs.rows) == {job.job_id}


def test_job_without_an_order_opens_none() -> None:
    world = World()
    job = world.holds(make_job(Status.SUCCEEDED))
    world.result_storer.store_result(job.job_id)
    assert world.proof_sheets.finish(job.job_id) == job
    assert set(world.jobs.rows) == {job.job_id}
    with pytest.raises(JobNotFoundError):
        world.proof_sheets.finish("ada-0000000000")


def test_changed_training_opens_no_picture() -> None:
    """A picture is added only while its training is as it was read: one that is forgotten meanwhile gets none."""
    world = World()
    training = trained(world)
    for each in pictures(world, training):
        del world.jobs.rows[each.job_id]
    changed = training.model_copy(update={"version": training.version + 1})
    world.holds(changed)
    with pytest.raises(ConflictError):
        world.proof_orders.begin(training)
    assert set(world.jobs.rows) == {training.job_id}


def test_pictures_teach_no_training_time() -> None:
    """Pictures are neither counted as trainings that ended, nor learnt from, nor in any list."""
    world = World()
    training = make_all(world, trained(world))
    ended = []
    for _ in range(8):
        world.clock.now += timedelta(minutes=5)
        ended.append(world.reconciler.reconcile().ended)
    assert [each for each in ended if each] == [{Status.SUCCEEDED: 1}]
    assert [*world.times.rows] == [training.application]
    assert list(world.jobs.unfinished()) == []
    assert world.jobs.page(status=None, limit=10, cursor=None).jobs == (training,)
    assert {each.job_id for each in world.events.changes} == {training.job_id}
    assert world.jobs.outbox() == {}


def test_pictures_wait_behind_datasets() -> None:
    """A dataset that was dropped before the LoRA was done is sent before its pictures."""
    world = World(limits=Limits(1, monthly_usd=100.0, job_usd=25.0))
    numbered_requests(world)
    first = world.submit(world.drop(metadata={"proof": "true"}))
    world.clock.now += timedelta(minutes=1)
    second = world.submit(world.drop("portrait/bob.zip", images=13))
    world.clock.now += timedelta(minutes=1)
    world.train(first)
    world.work()
    assert world.job(second.job_id).status is Status.SUBMITTED
    assert {each.status for each in pictures(world, first)} == {Status.READY}


def test_retry_orders_its_own_sheet() -> None:
    """A retry has a sheet of its own where the training before it had one."""
    world = World()
    numbered_requests(world)
    sent = world.submit(world.drop(metadata={"proof": "true"}))
    world.fal_updates.receive(sent.job_id, Failed(sent.request_id or "", BAD_IMAGE))
    again = world.retry_service.retry(sent.job_id, resume=False, by=ADA)
    assert again.proof == ProofSheet()


@pytest.mark.parametrize(("made", "paid"), [(0, 0.0), (PICTURES - 1, 0.105), (PICTURES, 0.14)])
def test_sheet_says_what_was_paid(made: int, paid: float) -> None:
    """A picture that was cancelled before it was sent has cost nothing, and the sheet does not say that it has."""
    world = World()
    training = trained(world)
    for each in pictures(world, training)[made:]:
        world.manual_actions.cancel(each.job_id, by="ada")
    done = make_all(world, training)
    assert done.proof
    assert done.proof.paid_usd == pytest.approx(paid)
    assert not done.proof_open
    assert len(world.fal.posts) == 1 + made
    shown = public(done)
    assert proof_usd(shown) == pytest.approx(paid)
    assert proof_cost_words(shown) == f"and ${paid:.2f} for the proof sheet"


def test_cost_is_an_estimate_until_the_sheet_is_done() -> None:
    world = World()
    shown = public(trained(world))
    assert proof_usd(shown) is None
    assert proof_cost_words(shown) == "and about $0.14 for the proof sheet"
