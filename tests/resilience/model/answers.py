"""What the world may answer to a port's call, and what it is afterwards.

A worker's deadline has passed whenever it is read, for the clock stands still: ``unfinished``
gives every job as an old one, and a lease may be over whenever it is read. But a job is not old
while the worker lives that is paying for it, nor a lease over while its owner lives, for Lambda ends
both minutes before another may think them dead; that it does not is a fault of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from lora_drop.fal.status import Gone, Running
from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Page, Submission
from tests.resilience.model.replay import Answer, Effect, raised, returned
from tests.resilience.model.table import Frozen, Row, Table
from tests.resilience.model.world import BY_HAND, SHEET, Bounds, Fault, Request, World, queued
from tests.support.builders import APPLICATION, NOW

LONG_AGO = NOW - timedelta(days=2)


class Possible(NamedTuple):
    """One answer to a call and the world after it; the first of several is without a fault."""

    text: str
    answer: Answer
    world: World


type Answers = Iterator[Possible]


def answers(world: World, effect: Effect, bounds: Bounds) -> tuple[Possible, ...]:
    may = ANSWERS.get(effect.name) or ANSWERS[f"{effect.port}.*"]
    faulty = world.faults > 0
    return tuple(may(world, effect, bounds.kinds if faulty else frozenset()))


def _plain(world: World, value: object, after: World | None = None) -> Possible:
    answer = returned(value)
    return Possible(answer.text, answer, after or world)


def _failed(world: World, error: Callable[[], Exception], text: str = "") -> Possible:
    answer = raised(error)
    return Possible(text or answer.text, answer, world.fewer_faults())


# --- jobs -----------------------------------------------------------------------------------------


def _jobs(world: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
    table = Table(world.table)
    args = [_timeless(each) if isinstance(each, Job) else each for each in effect.args]
    try:
        value = getattr(table.store, effect.method)(*args, **effect.options)
    except (errors.ConflictError, errors.NoSlotError, errors.OverBudgetError) as error:
        answer = raised(partial(type(error), effect.args[0].job_id))
        yield Possible(answer.text, answer, world)
        return
    if effect.method in ("get", "unfinished"):
        yield from (_got if effect.method == "get" else _listed)(world, value, faults)
        return
    writes = effect.method in ("add", "replace", "close")
    yield _plain(world, value, _written(world, table.frozen()) if writes else world)
    if effect.method in ("add", "replace") and Fault.CONTENDED in faults:
        yield _failed(
            world, partial(errors.ConflictError, "contended"), "Conflict, though no one wrote"
        )


def _page(world: World, _: Effect, __: frozenset[Fault]) -> Answers:
    yield _plain(world, Page(tuple(world.jobs.values()), None))


def _timeless(job: Job) -> Job:
    """The job without a trace of how old it was when it was read."""
    history = tuple(step.model_copy(update={"at": NOW}) for step in job.history)
    return job.model_copy(update={"history": history, "updated_at": NOW, "created_at": NOW})


def _got(world: World, job: Job | None, faults: frozenset[Fault]) -> Answers:
    """The job; a reader may find that its lease is over."""
    lease = job.lease if job and job.lease and job.lease.until > NOW else None
    if job is None or lease is None:
        yield _plain(world, job)
        return
    over = job.model_copy(update={"lease": lease.model_copy(update={"until": LONG_AGO})})
    if lease.owner not in world.copying:
        yield _plain(world, over)
    yield _plain(world, job)
    if lease.owner in world.copying and Fault.EARLY in faults:
        yield _plain(world, over, world.fewer_faults())


def _listed(world: World, jobs: Sequence[Job], faults: frozenset[Fault]) -> Answers:
    """The jobs, all of them as old ones, but for those that a worker is paying for."""
    yield _plain(world, [job if job.job_id in world.paying else _aged(job) for job in jobs])
    if Fault.EARLY in faults and world.paying:
        early = world.fewer_faults().in_doubt(*world.paying)
        yield _plain(world, [_aged(job) for job in jobs], early)


def _aged(job: Job) -> Job:
    history = (*job.history[:-1], job.history[-1].model_copy(update={"at": LONG_AGO}))
    return job.model_copy(update={"updated_at": LONG_AGO, "history": history})


def _written(world: World, table: Frozen) -> World:
    """The world with this table; what a person has said excuses, and what ended does not move."""
    before, world = world.jobs, replace(world, table=table)
    for job_id, job in world.jobs.items():
        had = before.get(job_id)
        if had is None or Row.of(had) is Row.of(job):
            continue
        if had.terminal and not _revived(had, job) and not _sheet_alone(had, job):
            world = replace(world, wrong=f"an ended job never changes: {job_id} was {had.status}")
        if job.status is Status.SUBMITTING and had.status is not Status.SUBMITTING:
            world = replace(world, paying=tuple(sorted((*world.paying, job_id))))
            if came := _came_after_all(job, world.jobs):
                wrong = (
                    f"what has come after all is not paid for again: {job_id}, and {came} has it"
                )
                world = replace(world, wrong=wrong)
        if job.status is Status.READY and job.history[-1].by:
            missed = had.status is Status.SUBMIT_UNKNOWN
            for request in world.of_job(job_id):
                if missed or request.end is not None:
                    known = replace(request, missed=request.missed or missed, settled=not missed)
                    world = world.with_request(known)
    return world


def _came_after_all(job: Job, jobs: Mapping[str, Job]) -> str:
    """A job that this one stands in for and whose result came, unless a person knows of it."""
    if job.force_retrain:
        return ""
    earlier = jobs.get(job.retry_of or job.supersedes or "")
    states = [step.status for step in earlier.history] if earlier else []
    came = any(here.terminal and there is Status.STORING for here, there in pairwise(states))
    return earlier.job_id if earlier and came else ""


def _sheet_alone(had: Job, job: Job) -> bool:
    """Whether nothing but its proof sheet was written."""
    same = {name: getattr(had, name) for name in ("proof", "version", "updated_at")}
    return job.model_copy(update=same) == had


def _revived(had: Job, job: Job) -> bool:
    """Whether its result came after all, which may happen to what was sent and had none yet."""
    ends = (Status.FAILED, Status.CANCELLED, Status.EXPIRED)
    return job.status is Status.STORING and had.status in ends and had.intents > 0


# --- fal ------------------------------------------------------------------------------------------

REFUSALS = {
    True: Problem(code="fal_payment_required", message="fal wants money first"),
    False: Problem(code="fal_refused", message="fal refuses it"),
}


def _submit(world: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
    job_id = effect.options["webhook_url"].split("/")[-2]
    number = sum(each.request_id[0] == job_id[0] for each in world.requests) + 1
    picture = effect.args[0] != APPLICATION
    request = Request(f"{job_id[0]}{number}", job_id, picture=picture)
    accepted = world.with_request(request)
    yield _plain(world, Submission(request.request_id), accepted)
    if Fault.UNANSWERED in faults:
        lost = partial(errors.SubmissionUnknownError, "the answer is lost")
        but = f"accepted as {request.request_id}, but the answer is lost"
        yield _failed(accepted.in_doubt(job_id), lost, but)
        yield _failed(world.in_doubt(job_id), lost, "not accepted, and the answer is lost")
    if Fault.UNSENT in faults:
        yield _failed(world, partial(errors.NotSubmittedError, "it never left"), "it never leaves")
    if Fault.REFUSED in faults:
        for held, problem in REFUSALS.items():
            yield _failed(
                world, partial(errors.SubmissionRefusedError, problem, held=held), problem.message
            )


def _ask(world: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
    request = world.request(effect.args[1])
    if request is None:
        yield _plain(world, Gone(effect.args[1]))
        return
    yield _plain(world, request.fact())
    if request.end is None:
        yield _plain(world, Running(request.request_id, started=False))
    if Fault.UNREACHABLE in faults:
        yield _failed(world, partial(errors.FalUnavailableError, "no answer"))
    if Fault.DENIED in faults and request.kept:
        # Once is a slip; a worker that hears it twice may believe it.
        twice = request.doubted
        denied = replace(
            request, doubted=True, denied=twice, delivered=request.delivered and not twice
        )
        yield _plain(world, Gone(request.request_id), world.with_request(denied).fewer_faults())


def _requests_for(world: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
    jobs = world.jobs
    found = tuple(
        each.request_id for each in world.requests if sent_alike(jobs[each.job_id], effect.args[0])
    )
    yield _plain(world, found)
    if Fault.UNLISTED in faults and found:
        yield _plain(world, found[:-1], world.fewer_faults())
    if Fault.ELSEWHERE in faults and found:
        yield _plain(world, (*found, BY_HAND), world.fewer_faults())
    if Fault.UNREACHABLE in faults:
        yield _failed(world, partial(errors.FalUnavailableError, "no answer"))


def sent_alike(one: Job, other: Job) -> bool:
    """Whether fal's list tells the requests of these jobs from each other by nothing."""
    return (one.dataset.key, one.picture) == (other.dataset.key, other.picture)


def _stored_result(world: World, _: Effect, faults: frozenset[Fault]) -> Answers:
    """fal stores no output here: what its queue has forgotten is gone."""
    yield _plain(world, None)
    if Fault.UNREACHABLE in faults:
        yield _failed(world, partial(errors.FalUnavailableError, "no answer"))


def _cancel(world: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
    request = world.request(effect.args[1])
    if request is None or request.end is not None:
        yield _plain(world, value=False)
    else:
        stopping = world.with_request(replace(request, stopping=True))
        yield _plain(world, value=True, after=stopping)
    if Fault.UNREACHABLE in faults:
        yield _failed(world, partial(errors.FalUnavailableError, "no answer"))


# --- files and queues -----------------------------------------------------------------------------


def _copy(world: World, effect: Effect, faults: frozenset[Fault]) -> Answers:
    prefix, artifact = effect.args
    files = dict(world.files)
    names = (artifact.name, *(f"{number}-{artifact.name}" for number in range(2, 9)))
    name = next(each for each in names if files.get(prefix + each) in (None, artifact.url))
    key = prefix + name
    stored = StoredFile(name=name, bucket="models", key=key, size=1, sha256=artifact.url)
    with_it = tuple(sorted({**files, key: artifact.url}.items()))
    yield _plain(world, stored, replace(world, files=with_it))
    if Fault.INTERRUPTED in faults:
        yield _failed(world, partial(errors.DownloadInterruptedError, "it broke off"))
    if Fault.FORGOTTEN in faults:
        yield _failed(world, partial(errors.ResultGoneError, "the CDN says 404"))


def _has(world: World, effect: Effect, _: frozenset[Fault]) -> Answers:
    yield _plain(world, effect.args[0].key in dict(world.files))


def _announce(world: World, effect: Effect, _: frozenset[Fault]) -> Answers:
    yield _plain(world, None, replace(world, inbox=queued(world.inbox, effect.args[0].key)))


def _backlog(world: World, _: Effect, __: frozenset[Fault]) -> Answers:
    yield _plain(world, len(world.inbox))


def _finish_proof(world: World, effect: Effect, _: frozenset[Fault]) -> Answers:
    asked = f"{SHEET}{effect.args[0]}"
    yield _plain(world, None, replace(world, inbox=queued(world.inbox, asked)))


def _hand_over(world: World, effect: Effect, _: frozenset[Fault]) -> Answers:
    yield _plain(world, None, replace(world, handed=queued(world.handed, effect.args[0])))


ANSWERS: dict[str, Callable[[World, Effect, frozenset[Fault]], Answers]] = {
    "jobs.*": _jobs,
    "jobs.page": _page,
    "fal.submit": _submit,
    "fal.ask": _ask,
    "fal.requests_for": _requests_for,
    "fal.stored_result": _stored_result,
    "fal.cancel": _cancel,
    "copier.copy": _copy,
    "results.has": _has,
    "queue.announce": _announce,
    "queue.hand_over": _hand_over,
    "queue.backlog": _backlog,
    "queue.finish_proof": _finish_proof,
}
