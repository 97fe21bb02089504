"""What one write of a job consists of: the job, its place in the lists, its slot, its money.

Each action names the error that its condition stands for. The job's own condition comes first: who
has read an old job learns that, and nothing of slots or money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_drop.adapters.dynamodb_rows import (
    ACCOUNT,
    CONTENT,
    JOB,
    OPEN,
    OUTBOX,
    SLOTS,
    WAITING,
    change_item,
    item_of,
    key_of,
    place_of,
    turn_of,
)
from lora_drop.jobs.budget import MICRO, Booking, Limits, bookings
from lora_drop.jobs.errors import ConflictError, NoSlotError, OverBudgetError
from lora_drop.jobs.job import Job
from lora_drop.jobs.progress import AT_WORK, TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.ports import Claim

# Of a job, that have no event yet: while EventBridge takes none for days, its row must not outgrow the table.
MOST_CHANGES = 200

type Written = Mapping[str, Mapping[str, Any]]


class OutboxLimitError(Exception):
    """A job has so many changes without an event that no more of them are kept."""


@dataclass(frozen=True, slots=True)
class Action:
    """One part of a transaction, and what it means when its condition does not hold."""

    write: Written
    otherwise: type[Exception] = ConflictError


def add_actions(job: Job, claim: Claim | None) -> Sequence[Action]:
    """Return a new job, if its id is free."""
    put = {"Item": item_of(job), "ConditionExpression": "attribute_not_exists(pk)"}
    return [Action({"Put": put}), *_lists(None, job), *_outbox(None, job), *_claimed(job, claim)]


def replace_actions(
    before: Job,
    after: Job,
    limits: Limits | None,
    claim: Claim | None,
    *,
    quiet: bool = False,
    restart: bool = False,
) -> Sequence[Action]:
    """Return ``after`` in the place of ``before``; ``quiet``: where the state is the same, there is nothing to publish.

    ``restart``: the changes in the outbox are too many and make room.
    """
    loud = not quiet or before.status is not after.status
    return [
        Action(
            {
                "Put": {
                    "Item": item_of(after),
                    **_unchanged(before, with_progress=before.status in AT_WORK),
                }
            }
        ),
        *_lists(before, after),
        *(_outbox(before, after, restart=restart) if loud else []),
        *_slot(before, after, limits),
        *_money(before, after, limits),
        *_claimed(after, claim),
    ]


def checks(unchanged: Sequence[Job]) -> Sequence[Action]:
    """Return that each of these jobs is as it was read."""
    return [
        Action({"ConditionCheck": {"Key": key_of(job.job_id, JOB), **_unchanged(job)}})
        for job in unchanged
    ]


def progress_update(
    job: Job, progress: TrainingProgress | None, queue_position: int | None
) -> Mapping[str, Any]:
    """Return the update of a job's progress, on the conditions of ``JobStore.keep_progress``."""
    condition, names, values = _same_progress(job)
    later = item_of(job.model_copy(update={"progress": progress, "queue_position": queue_position}))
    kept = {name: later[name] for name in ("progress", "queue_position") if name in later}
    gone = [name for name in ("progress", "queue_position") if name not in later]
    sets = "SET " + ", ".join(f"{name} = :{name}" for name in kept) if kept else ""
    removes = "REMOVE " + ", ".join(gone) if gone else ""
    return {
        "Key": key_of(job.job_id, JOB),
        "UpdateExpression": f"{sets} {removes}".strip(),
        "ConditionExpression": f"request_id = :request AND #status IN (:sent, :trains) AND {condition}",
        "ExpressionAttributeNames": {"#status": "status", **names},
        "ExpressionAttributeValues": {
            ":request": {"S": job.request_id or ""},
            ":sent": {"S": Status.SUBMITTED},
            ":trains": {"S": Status.TRAINING},
            **{f":{name}": value for name, value in kept.items()},
            **values,
        },
    }


def _same_progress(job: Job) -> tuple[str, Mapping[str, str], Mapping[str, Any]]:
    """Return the condition that the progress is the one that was read, with its names and values."""
    if job.progress is None:
        return "attribute_not_exists(progress)", {}, {}
    at = job.progress.model_dump(mode="json")["at"]
    return "progress.#at = :at", {"#at": "at"}, {":at": {"S": at}}


def _unchanged(job: Job, *, with_progress: bool = False) -> Mapping[str, Any]:
    condition, names, values = _same_progress(job) if with_progress else ("", {}, {})
    return {
        "ConditionExpression": "#version = :version" + (f" AND {condition}" if condition else ""),
        "ExpressionAttributeNames": {"#version": "version", **names},
        "ExpressionAttributeValues": {":version": {"N": str(job.version)}, **values},
    }


def _lists(before: Job | None, after: Job) -> Sequence[Action]:
    """Return the rows under OPEN and WAITING, as far as they change."""
    row = {"job_id": {"S": after.job_id}}
    actions = []
    if before is None or before.terminal or after.terminal:
        # An ended job stays there until it is closed: close() deletes this very row.
        ended = {"ended": {"N": str(after.version)}} if after.terminal else {}
        item = {**key_of(OPEN, place_of(after)), **row, **ended}
        actions.append(Action({"Put": {"Item": item}}))
    key = key_of(WAITING, turn_of(after))
    if _waits(after) and (before is None or not _waits(before) or _quiet(before) != _quiet(after)):
        actions.append(Action({"Put": {"Item": {**key, **row, **_quiet(after)}}}))
    elif _waits(before) and not _waits(after):
        actions.append(Action({"Delete": {"Key": key}}))
    return actions


def _outbox(before: Job | None, after: Job, *, restart: bool = False) -> Sequence[Action]:
    """Return what is to be published of this write; the row is deleted once it is.

    ``written`` is the version whose files are to be written, ``changes`` those of its states that have no event yet, and
    ``first`` the version of the first of these. ``restart``: they were too many, and only the new one is kept. A picture
    of a proof sheet has no events.
    """
    if after.picture is not None:
        return []
    update: dict[str, Any] = {
        "Key": key_of(OUTBOX, after.job_id),
        "UpdateExpression": "SET written = :version",
        "ExpressionAttributeValues": {":version": {"N": str(after.version)}},
    }
    if before is None or before.status is not after.status:
        update["ExpressionAttributeNames"] = {"#first": "first"}
        update["ExpressionAttributeValues"][":changes"] = {"L": [change_item(after)]}
        if restart:
            update["UpdateExpression"] += ", changes = :changes, #first = :version"
        else:
            update["UpdateExpression"] += (
                ", changes = list_append(if_not_exists(changes, :none), :changes)"
                ", #first = if_not_exists(#first, :version)"
            )
            update["ExpressionAttributeValues"][":none"] = {"L": []}
            update["ConditionExpression"] = "attribute_not_exists(changes) OR size(changes) < :most"
            update["ExpressionAttributeValues"][":most"] = {"N": str(MOST_CHANGES)}
    return [Action({"Update": update}, OutboxLimitError)]


def is_published(version: int, changes: Sequence[int] | None) -> Mapping[str, Any]:
    """Return the condition that an outbox row has no write after this version, and of all changes just these.

    Changes are only ever added, or deleted all together: the first of them and their number say which they are.
    """
    values = {":version": {"N": str(version)}}
    if changes is None:
        return {"ConditionExpression": "written <= :version", "ExpressionAttributeValues": values}
    condition = "written <= :version AND attribute_not_exists(#first)"
    if changes:
        condition = "written <= :version AND #first = :first AND size(changes) = :count"
        values[":first"] = {"N": str(min(changes))}
        values[":count"] = {"N": str(len(changes))}
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#first": "first"},
        "ExpressionAttributeValues": values,
    }


def _quiet(job: Job) -> Mapping[str, Any]:
    """Return since when a job that is READY waits for nothing but its turn, as its row under WAITING says it."""
    if job.problems or job.uploads:
        return {}
    return {"since": {"S": job.updated_at.isoformat()}}


def _waits(job: Job | None) -> bool:
    return job is not None and job.status is Status.READY


def _slot(before: Job, after: Job, limits: Limits | None) -> Sequence[Action]:
    """Return a slot is taken or given back; the row holds who has one, so nothing is counted twice."""
    if before.at_fal == after.at_fal:
        return []
    update: dict[str, Any] = {
        "Key": key_of(SLOTS, SLOTS),
        "UpdateExpression": f"{'ADD' if after.at_fal else 'DELETE'} holders :job",
        "ExpressionAttributeValues": {":job": {"SS": [after.job_id]}},
    }
    if after.at_fal and limits is not None:
        update["ConditionExpression"] = "attribute_not_exists(holders) OR size(holders) < :most"
        update["ExpressionAttributeValues"][":most"] = {"N": str(limits.max_in_flight)}
    return [Action({"Update": update}, NoSlotError)]


def _money(before: Job, after: Job, limits: Limits | None) -> Sequence[Action]:
    """Return what the move books; the budget is a condition where money is set aside for it."""
    actions = []
    for booking in bookings(before.charges, after.charges):
        update: dict[str, Any] = {
            "Key": key_of(ACCOUNT, booking.month),
            "UpdateExpression": (
                "ADD reserved :reserved, spent :spent, wasted :wasted, committed :committed"
            ),
            "ExpressionAttributeValues": {
                ":reserved": {"N": str(booking.reserved)},
                ":spent": {"N": str(booking.spent)},
                ":wasted": {"N": str(booking.wasted)},
                ":committed": {"N": str(booking.committed)},
            },
        }
        room = _room(booking, after, limits)
        if room is not None:
            update["ExpressionAttributeValues"][":room"] = {"N": str(room)}
            # A month without a row has spent nothing; without room for this job, no row will do.
            none_yet = "attribute_not_exists(committed) OR " if room >= 0 else ""
            update["ConditionExpression"] = f"{none_yet}committed <= :room"
        actions.append(Action({"Update": update}, OverBudgetError))
    return actions


def _room(booking: Booking, job: Job, limits: Limits | None) -> int | None:
    """Return what may be committed already for this booking to fit; None where nothing limits it."""
    if limits is None or limits.monthly_usd is None or job.approved or booking.reserved <= 0:
        return None
    return round(limits.monthly_usd * MICRO) - booking.reserved


def _claimed(job: Job, claim: Claim | None) -> Sequence[Action]:
    if claim is None or job.content_digest is None:
        return []
    put: dict[str, Any] = {
        "Item": {**key_of(CONTENT, job.content_digest), "job_id": {"S": job.job_id}}
    }
    if claim.previous is None:
        put["ConditionExpression"] = "attribute_not_exists(pk)"
    else:
        put["ConditionExpression"] = "job_id = :previous"
        put["ExpressionAttributeValues"] = {":previous": {"S": claim.previous}}
    return [Action({"Put": put})]
