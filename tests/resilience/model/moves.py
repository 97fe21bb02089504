"""What happens without a worker's next step: fal, the queues, people, and workers that are called."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from lora_drop.jobs.status import Status
from tests.resilience.model.replay import Local, Outcome
from tests.resilience.model.services import Call
from tests.resilience.model.world import (
    SHEET,
    STRANGER,
    Bounds,
    Decision,
    End,
    Fault,
    Request,
    Role,
    Webhook,
    World,
    queued,
)


class Move(NamedTuple):
    text: str
    world: World
    call: Call | None = None


def moves(world: World, bounds: Bounds) -> Iterator[Move]:
    faults = bounds.kinds if world.faults else frozenset()
    for request in world.requests:
        yield from _endings(world, request, faults)
    if Fault.LOST in faults:
        yield from _losses(world)
    yield from _calls(world, faults)
    if world.rounds:
        fewer = replace(world, rounds=world.rounds - 1)
        yield Move("a round begins", fewer, Call(Role.RECONCILE, "reconcile", ""))
    if world.decisions:
        yield from _decisions(world, bounds)


def acknowledged(role: Role, outcome: Outcome) -> bool:
    return outcome.error is None or role in (Role.RECONCILE, Role.PERSON)


def ended(world: World, local: Local) -> World:
    """Return the world after a call or its worker has ended: an unacknowledged message comes again."""
    call: Call = local.call
    done = local.outcome is not None and acknowledged(call.role, local.outcome)
    if local.intents:
        paying = list(world.paying)
        for job_id in local.intents:
            paying.remove(job_id)
        world = replace(world, paying=tuple(paying))
        world = world if done else world.in_doubt(*local.intents)
    if call.owner:
        copying = tuple(each for each in world.copying if each != call.owner)
        world = replace(world, copying=copying)
    if done:
        return _result_accepted(world, call.message) if call.message else world
    match call.role:
        case Role.SUBMIT:
            return replace(world, inbox=queued(world.inbox, call.about))
        case Role.STORE:
            return replace(world, handed=queued(world.handed, call.about))
        case Role.WEBHOOK if call.message and call.message.request_id != STRANGER:
            return replace(world, webhooks=queued(world.webhooks, call.message))
    return world


def _result_accepted(world: World, delivered: Webhook) -> World:
    request = world.request(delivered.request_id)
    if request is None or delivered.bare or delivered.end is not End.OK:
        return world
    return world.with_request(replace(request, delivered=True))


def _endings(world: World, request: Request, faults: frozenset[Fault]) -> Iterator[Move]:
    """fal is done with a request and calls back; or it keeps its result no longer."""
    name = request.request_id
    if request.end is None:
        yield ending(world, request, End.OK)
        if request.stopping:
            yield ending(world, request, End.CANCELLED)
        poorer = world.fewer_faults()
        if Fault.BARE in faults:
            yield ending(poorer, request, End.OK, bare=True)
        if Fault.FAILED in faults:
            for end in (End.FAILED, End.UNBILLED, End.UNFETCHED, End.UNFETCHED_BILLED):
                yield ending(poorer, request, end)
    elif request.kept and Fault.FORGOTTEN in faults:
        forgotten = world.with_request(replace(request, kept=False)).fewer_faults()
        yield Move(f"fal keeps the result of {name} no longer", forgotten)


def ending(world: World, request: Request, end: End, *, bare: bool = False) -> Move:
    webhook = Webhook(request.request_id, request.job_id, end, bare, request.picture)
    after = world.with_request(replace(request, end=end))
    text = f"fal: {webhook}"
    return Move(text, replace(after, webhooks=queued(after.webhooks, webhook)))


def _losses(world: World) -> Iterator[Move]:
    poorer = world.fewer_faults()
    for key in sorted(set(world.inbox)):
        yield Move(
            f"the message of {key} is given up", replace(poorer, inbox=_without(world.inbox, key))
        )
    for job_id in sorted(set(world.handed)):
        handed = _without(world.handed, job_id)
        yield Move(f"the handover of {job_id} is given up", replace(poorer, handed=handed))
    for webhook in dict.fromkeys(world.webhooks):
        webhooks = _without(world.webhooks, webhook)
        yield Move(f"fal gives up calling back: {webhook}", replace(poorer, webhooks=webhooks))


def _calls(world: World, faults: frozenset[Fault]) -> Iterator[Move]:
    """A message is delivered; or it is, and stays in its queue for another worker."""
    for move in messages(world):
        yield move
        if Fault.DOUBLED in faults:
            again = replace(
                move.world, inbox=world.inbox, handed=world.handed, webhooks=world.webhooks
            )
            yield Move("(and once more)", again.fewer_faults(), move.call)
    if Fault.STRAY in faults and world.strays:
        stray = replace(world.fewer_faults(), strays=world.strays - 1)
        for job_id in world.jobs:
            message = Webhook(STRANGER, "a-stranger's-job", End.OK)
            yield Move("(a stranger's)", stray, Call(Role.WEBHOOK, "deliver", job_id, message))


def messages(world: World) -> Iterator[Move]:
    for key in sorted(set(world.inbox)):
        call = Call(Role.SUBMIT, "finish" if key.startswith(SHEET) else "submit", key)
        yield Move("", replace(world, inbox=_without(world.inbox, key)), call)
    for webhook in dict.fromkeys(world.webhooks):
        call = Call(Role.WEBHOOK, "deliver", webhook.to, webhook)
        yield Move("", replace(world, webhooks=_without(world.webhooks, webhook)), call)
    for job_id in sorted(set(world.handed)):
        owner = _new_owner(world)
        begun = replace(world, copying=tuple(sorted((*world.copying, owner))))
        taken = replace(begun, handed=_without(world.handed, job_id))
        yield Move("", taken, Call(Role.STORE, "store", job_id, owner=owner))


def _new_owner(world: World) -> str:
    taken = {job.lease.owner for job in world.jobs.values() if job.lease} | {*world.copying}
    return next(name for name in ("k1", "k2", "k3", "k4", "k5") if name not in taken)


def _decisions(world: World, bounds: Bounds) -> Iterator[Move]:
    """A person says something about a job as it stands."""
    fewer = replace(world, decisions=world.decisions - 1)
    for job_id, job in world.jobs.items():
        for decision in sorted(bounds.says & DECISIONS.get(job.status, frozenset())):
            if decision is Decision.ACCEPTED:
                for request in world.of_job(job_id):
                    call = Call(Role.PERSON, decision, f"{job_id} {request.request_id}")
                    yield Move("", fewer, call)
            else:
                yield Move("", fewer, Call(Role.PERSON, decision, job_id))


# What there is to say of a job in a state; in any other the services answer ActionNotAllowedError.
DECISIONS = {
    Status.RECEIVED: frozenset({Decision.CANCEL}),
    Status.READY: frozenset({Decision.CANCEL}),
    Status.HELD: frozenset({Decision.APPROVE, Decision.CANCEL}),
    Status.SUBMIT_UNKNOWN: frozenset({Decision.ACCEPTED, Decision.NOT_SUBMITTED}),
    Status.SUBMITTED: frozenset({Decision.CANCEL}),
    Status.TRAINING: frozenset({Decision.CANCEL}),
    Status.FAILED: frozenset({Decision.RETRY}),
    Status.CANCELLED: frozenset({Decision.RETRY}),
    Status.EXPIRED: frozenset({Decision.RETRY}),
}


def _without[M](queue: tuple[M, ...], message: M) -> tuple[M, ...]:
    at = queue.index(message)
    return (*queue[:at], *queue[at + 1 :])
