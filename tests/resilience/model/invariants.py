"""What must be true at every moment, whatever has gone wrong before."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from lora_drop.adapters.dynamodb_rows import ACCOUNT, OPEN, SLOTS, WAITING
from lora_drop.jobs.budget import bookings
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.resilience.model.table import rows_of
from tests.resilience.model.world import Bounds, End, Request, World

# Where a job may be while fal has a request of its that no person has excused.
WAITED_FOR = frozenset(
    {*(Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.SUBMITTED, Status.TRAINING)}
)
# Where it may be once the request has come to a good end, and where when fal has forgotten that.
HONOURED = WAITED_FOR | {Status.STORING, Status.SUCCEEDED}
FORGOTTEN = HONOURED | {Status.EXPIRED}


def broken(world: World, bounds: Bounds) -> str:
    """Return the first invariant that this state breaks, and how; empty when all hold."""
    if world.wrong:
        return world.wrong
    for name, promise in PROMISES.items():
        for how in promise(world, bounds):
            return f"{name}: {how}"
    return ""


def _paid_once(world: World, _: Bounds) -> Iterator[str]:
    for job_id in world.jobs:
        requests = world.of_job(job_id)
        paid = [request.request_id for request in requests if request.paid]
        if len(paid) > 1 + sum(request.missed for request in requests):
            yield f"{job_id} is paid for with {' and '.join(paid)}"
    orders = [job.picture for job in world.jobs.values() if job.picture]
    for order in orders:
        if orders.count(order) > 1:
            yield f"picture {order.number} of {order.proof_of} has several jobs"


def _duplicates(world: World, bounds: Bounds) -> Iterator[str]:
    jobs = world.jobs
    trained = [
        each.request_id
        for each in world.requests
        if each.end in (None, End.OK)
        and each.kept
        and not each.denied
        # A person who retries a job wants it paid for once more.
        and jobs[each.job_id].retry_of is None
        and not each.picture
        and not world.wronged(each.job_id)
    ]
    if bounds.duplicates and len(trained) > 1:
        yield f"{' and '.join(trained)} train the same"


def _slots(world: World, bounds: Bounds) -> Iterator[str]:
    running = [
        each.request_id
        for each in world.requests
        if each.end is None and not each.denied and not world.wronged(each.job_id)
    ]
    if len(running) > bounds.slots:
        yield f"{' and '.join(running)} are at fal, and there is room for {bounds.slots}"


def _budget(world: World, bounds: Bounds) -> Iterator[str]:
    jobs = world.jobs.values()
    costs = sum(sum(charge.micro_usd / 1e6 for charge in job.charges) for job in jobs)
    if costs > bounds.budget and not any(job.approved for job in jobs):
        yield f"${costs:.2f} is set aside or spent, of ${bounds.budget:.2f}"


def _stored(world: World, _: Bounds) -> Iterator[str]:
    files, jobs = dict(world.files), world.jobs
    for job in jobs.values():
        if job.status is not Status.SUCCEEDED:
            continue
        made = jobs[job.duplicate_of] if job.duplicate_of else job
        request = world.request(made.request_id or "")
        wanted = {artifact.url for artifact in request.artifacts} if request else {"any"}
        if not wanted <= {files.get(stored.key) for stored in job.files}:
            yield f"{job.job_id} SUCCEEDED without the weights of {made.request_id}"


def _sheets(world: World, _: Bounds) -> Iterator[str]:
    """A sheet is made from the pictures that it names, and each of them has come to an end once."""
    jobs = world.jobs
    for job in jobs.values():
        if job.proof is None or job.proof.done_at is None or job.proof.note:
            continue
        if set(job.proof.made_from) != set(job.proof.pictures) or not job.proof.pictures:
            yield f"the sheet of {job.job_id} was made from {sorted(job.proof.made_from)}"
        for picture_id in job.proof.pictures:
            history = jobs[picture_id].history if picture_id in jobs else ()
            if not any(step.status.terminal for step in history):
                yield f"the sheet of {job.job_id} was made before {picture_id} had ended"


def _own_request(world: World, _: Bounds) -> Iterator[str]:
    for job in world.jobs.values():
        if job.request_id and not job.duplicate_of:
            request = world.request(job.request_id)
            if request is None or request.job_id != job.job_id:
                yield f"{job.job_id} has taken {job.request_id} for its own"


def _waited_for(world: World, _: Bounds) -> Iterator[str]:
    jobs = world.jobs
    for request in world.requests:
        if request.denied or request.end not in (None, End.OK) or world.wronged(request.job_id):
            continue
        job = jobs[request.job_id]
        states = WAITED_FOR if request.end is None else HONOURED if request.kept else FORGOTTEN
        if job.status not in states or job.request_id not in (None, request.request_id):
            yield f"{_story(request)}, and {job.job_id} is {job.status} with {job.request_id}"


def _kept(world: World, _: Bounds) -> Iterator[str]:
    jobs = world.jobs
    for request in world.requests:
        if not request.delivered or world.wronged(request.job_id):
            continue
        job = jobs[request.job_id]
        has = job.status in (Status.STORING, Status.SUCCEEDED)
        if not has and (request.kept or job.status is not Status.EXPIRED):
            yield f"{job.job_id} is {job.status} after the result of {request.request_id} came"


def _story(request: Request) -> str:
    return f"fal {'has' if request.end is None else 'has ended'} {request.request_id}"


def _ids(jobs: Mapping[str, Job], wanted: Callable[[Job], bool]) -> set[str]:
    return {job_id for job_id, job in jobs.items() if wanted(job)}


def _counted(world: World, _: Bounds) -> Iterator[str]:
    """The lists and counters are what follows from the jobs."""
    rows = rows_of(world.table)
    jobs = world.jobs
    for kind, meant, besides in (
        # what has ended is listed until its end is published
        (OPEN, _ids(jobs, lambda job: not job.terminal), _ids(jobs, lambda job: job.terminal)),
        (WAITING, _ids(jobs, lambda job: job.status is Status.READY), set()),
    ):
        listed = [item["job_id"] for (pk, _), item in rows.items() if pk == kind]
        if len(listed) != len(set(listed)) or not meant <= set(listed) <= meant | besides:
            yield f"{kind} lists {sorted(listed)}, not {sorted(meant)}"
    holders = sorted(rows.get((SLOTS, SLOTS), {}).get("holders", ()))
    at_fal = sorted(job_id for job_id, job in jobs.items() if job.at_fal)
    if holders != at_fal:
        yield f"the slots are held by {holders}, not {at_fal}"
    booked = {sk: _sums(item) for (pk, sk), item in rows.items() if pk == ACCOUNT}
    meant_sums = _booked(jobs.values())
    if {month: sums for month, sums in booked.items() if any(sums)} != meant_sums:
        yield f"the accounts say {booked}, not {meant_sums}"


def _sums(item: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(int(item.get(name, "0")) for name in ("reserved", "spent", "wasted"))


def _booked(jobs: Iterable[Job]) -> dict[str, tuple[int, ...]]:
    sums: dict[str, list[int]] = {}
    for job in jobs:
        for each in bookings((), job.charges):
            month = sums.setdefault(each.month, [0, 0, 0])
            for at, amount in enumerate((each.reserved, each.spent, each.wasted)):
                month[at] += amount
    return {month: tuple(each) for month, each in sums.items() if any(each)}


PROMISES: Mapping[str, Callable[[World, Bounds], Iterator[str]]] = {
    "a job is paid for once": _paid_once,
    "equal datasets are paid for once": _duplicates,
    "no more trainings are at fal than there are slots": _slots,
    "a month costs no more than its budget": _budget,
    "a job has only succeeded when its weights are stored": _stored,
    "a proof sheet is made when its pictures have ended": _sheets,
    "a request belongs to the job it was made for": _own_request,
    "a request at fal is waited for, and its result is not given up": _waited_for,
    "a result that was delivered is kept": _kept,
    "slots, money and lists follow from the jobs": _counted,
}
