"""Everything outside the services at one moment."""

from dataclasses import dataclass, replace

from lora_drop.jobs.job import Job
from tests.resilience.model.fal import Request, Webhook
from tests.resilience.model.table import Frozen, rows_of

QUEUED_AT_MOST = 2  # equal messages in a queue; more would change nothing


@dataclass(frozen=True, slots=True)
class World:
    """One moment. ``wrong`` is what the last step has broken, if it has."""

    faults: int
    rounds: int
    decisions: int
    table: Frozen = ()
    requests: tuple[Request, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # (key, address it was copied from)
    inbox: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    paying: tuple[str, ...] = ()  # jobs with a living worker that has begun to pay for them
    copying: tuple[str, ...] = ()  # the names of the living store workers
    doubtful: tuple[str, ...] = ()  # jobs of which nobody can know whether a POST was accepted
    strays: int = 1
    wrong: str = ""

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs as they are kept."""
        rows = rows_of(self.table)
        return {pk: item["job"].job for (pk, sk), item in rows.items() if sk == "job"}

    def of_job(self, job_id: str) -> list[Request]:
        """What fal has accepted for this job, the oldest first."""
        return [request for request in self.requests if request.job_id == job_id]

    def wronged(self, job_id: str) -> bool:
        """Whether a person has said of a request for this job that there is none.

        It may come after all, and then two are paid for one job, which can wait for one of them.
        """
        return any(request.missed for request in self.of_job(job_id))

    def request(self, request_id: str) -> Request | None:
        """The request with this id."""
        return next((each for each in self.requests if each.request_id == request_id), None)

    def fewer_faults(self) -> "World":
        """After something has gone wrong."""
        return replace(self, faults=self.faults - 1)

    def in_doubt(self, *job_ids: str) -> "World":
        """After something that leaves it open whether these jobs are at fal."""
        return replace(self, doubtful=tuple(sorted({*self.doubtful, *job_ids})))

    def with_request(self, new: Request) -> "World":
        """With this request, in the place of the one with the same id."""
        others = [each for each in self.requests if each.request_id != new.request_id]
        ordered = tuple(sorted((*others, new), key=lambda each: each.request_id))
        return replace(self, requests=ordered)


def queued[M](queue: tuple[M, ...], message: M) -> tuple[M, ...]:
    """The queue with one message more; queues keep no order."""
    if queue.count(message) >= QUEUED_AT_MOST:
        return queue
    return tuple(sorted((*queue, message), key=str))
