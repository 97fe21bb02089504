"""Submits waiting jobs: the oldest goes first, and only while there is a slot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lora_drop.fal.proof_prompts import picture_arguments
from lora_drop.jobs.budget import Limits, month_of
from lora_drop.jobs.errors import (
    BalanceTooLowError,
    ConflictError,
    DatasetRejectedError,
    DatasetUnreadableError,
    NoSlotError,
    NotSubmittedError,
    OverBudgetError,
    SubmissionRefusedError,
    SubmissionUnknownError,
    ThrottledError,
)
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import (
    CHECKPOINT_MISSING,
    COPY_MISSING,
    DATASET_UNREADABLE,
    FAL_BUSY,
    FAL_UNREACHABLE,
    LORA_MISSING,
    balance_too_low,
    came_after_all,
    of_account,
    over_budget,
    over_limit,
    price_unknown,
    submission_unknown,
)
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import PictureOrder
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.jobs.time_limits import DISPATCH_PATIENCE
from lora_drop.ports import DatasetStore, FalClient, Inbox
from lora_drop.services.account_balance import AccountBalance
from lora_drop.services.dataset_urls import DatasetUrl, DatasetUrls
from lora_drop.services.deduplication import Deduplication
from lora_drop.services.proof_sheets import report_picture
from lora_drop.services.record import Record
from lora_drop.services.unpublished import Unpublished

SETTLE_ATTEMPTS = 5
MAX_TURNS = 100
# fal did not take a job: others that arrive meanwhile do not make it be sent again at once.
PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SubmissionRequest:
    """What a POST is made of; none is made once one of ``unchanged`` is not what it was read as.

    These are the jobs that were given up, one of which may have got its result after all; of a picture, its training.
    """

    address: DatasetUrl
    checkpoint: str
    unchanged: Sequence[Job]


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Sends waiting jobs to fal: the only code that pays."""

    record: Record
    datasets: DatasetStore
    fal: FalClient
    inbox: Inbox
    limits: Limits
    balance: AccountBalance
    addresses: DatasetUrls
    webhook_base_url: str
    webhook_secret: Callable[[], bytes]

    def submit_waiting(
        self,
        *,
        began: datetime | None = None,
        fresh: Job | None = None,
        states: Sequence[Job] = (),
    ) -> tuple[Job, ...]:
        """Send waiting jobs, the oldest first, as long as there are slots, money and time.

        Returns what became of each whose turn came. ``began``: since when the caller lives, where it
        has done something else before; ``fresh``: the job as it has just written it, and ``states`` what of it is not
        published yet: that is done with what comes of it, or else before another job's turn, and before its dataset
        is uploaded to fal, which takes long. Raises FalUnavailableError where there is no secret to make the
        webhook's address with.
        """
        began = began or self.record.clock()
        unpublished = Unpublished(self.record, fresh, states)
        try:
            return self._sent(began, fresh, unpublished)
        except Exception:
            unpublished.publish()
            raise

    def _sent(
        self, began: datetime, fresh: Job | None, unpublished: Unpublished
    ) -> tuple[Job, ...]:
        sent: list[Job] = []
        for _ in range(MAX_TURNS):
            job, alone = self.record.jobs.first_waiting(fresh)
            if job is None or fresh is None or job.job_id != fresh.job_id or self.addresses.uploads:
                unpublished.publish()
            fresh = None  # another invocation may have changed it, once its turn was in vain
            if job is None:
                break
            if FAL_BUSY in job.problems and self.record.clock() - job.updated_at < PAUSE:
                break  # the reconciler's round wakes the line again
            if self.record.clock() - began > DISPATCH_PATIENCE:
                self.inbox.announce(job.dataset)
                break
            try:
                sent.append(self._turn(job, unpublished.states_of(job)))
            except NoSlotError:
                break
            except ConflictError:
                continue  # another invocation sent it, or stopped it
            unpublished.over(job)
            report_picture(self.inbox, sent[-1])
            if sent[-1].status is Status.READY or _stands_in_everybodys_way(sent[-1]):
                break
            if alone:
                break  # whoever puts a job behind it looks at the line afterwards
        unpublished.publish()
        return tuple(sent)

    def _turn(self, job: Job, states: Sequence[Job]) -> Job:
        """Return what becomes of the oldest waiting job; raises NoSlotError and ConflictError."""
        request: SubmissionRequest | Problem
        try:
            request = self._request_for(job)
        except DatasetRejectedError as gone:
            # A dataset that was deleted before it was sent is not to be trained.
            return self.record.move(job, Status.CANCELLED, states=states, problems=gone.problems)
        except NotSubmittedError:
            return self.record.set_problems(job, FAL_UNREACHABLE, states=states)
        except DatasetUnreadableError:
            # One that cannot be read must not stand before all the others.
            request = DATASET_UNREADABLE
        except SubmissionRefusedError as refused:
            request = refused.problem
        if isinstance(request, SubmissionRequest):
            try:
                return self._pay(job, request, states)
            except BalanceTooLowError as low:
                cost = job.estimated_cost_usd or 0.0
                request = balance_too_low(cost, low.balance_usd, low.reserved_usd)
            except OverBudgetError:
                request = over_budget(job.estimated_cost_usd or 0.0, self.limits.monthly_usd or 0.0)
        return self.record.move(job, Status.HELD, states=states, problems=(request,))

    def _request_for(self, job: Job) -> SubmissionRequest | Problem:
        """Return what is to be sent, or what a person has to see to first; raises what delivery raises."""
        if job.picture is not None:
            return self._picture_request(job, job.picture)
        self.datasets.open(job.dataset)
        given_up = Deduplication(self.record).superseded_jobs(job)
        checkpoint = self._checkpoint(job)
        if problem := self._in_the_way(job, given_up, checkpoint):
            return problem
        return SubmissionRequest(self._address(job), checkpoint or "", given_up)

    def _picture_request(self, job: Job, order: PictureOrder) -> SubmissionRequest | Problem:
        """Return the request for a picture, which is not sent once its training has been changed or forgotten.

        Raises DatasetRejectedError where the LoRA is gone.
        """
        if not job.approved and (problem := self._too_dear(job)):
            return problem
        parent = self.record.jobs.get(order.proof_of)
        weights = parent.weights if parent else None
        if parent is None or weights is None or not self.record.results.has(weights):
            raise DatasetRejectedError([LORA_MISSING])
        return SubmissionRequest(self.addresses.of_weights(weights), "", (parent,))

    def _address(self, job: Job) -> DatasetUrl:
        """Return where fal is to get the dataset from; raises NoSlotError rather than upload in vain."""
        if self.addresses.uploads:
            account = self.record.jobs.account(month_of(self.record.clock()))
            if len(account.in_flight) >= self.limits.max_in_flight:
                raise NoSlotError
        return self.addresses.of(job)

    def _in_the_way(
        self, job: Job, given_up: Sequence[Job], checkpoint: str | None
    ) -> Problem | None:
        """Return what a person has to decide, or put right, before this job is paid for."""
        if not job.approved and (problem := self._too_dear(job)):
            return problem
        for each in given_up:
            if Deduplication(self.record).stands(each):
                return came_after_all(each.job_id)
        if job.clean and not self.record.results.has(job.clean):
            return COPY_MISSING
        return CHECKPOINT_MISSING if checkpoint is None else None

    def _too_dear(self, job: Job) -> Problem | None:
        cost, most = job.estimated_cost_usd, self.limits.job_usd
        if cost is None:
            limited = most is not None or self.limits.monthly_usd is not None
            return price_unknown(job.application) if limited else None
        return over_limit(cost, most) if most is not None and cost > most else None

    def _checkpoint(self, job: Job) -> str | None:
        """Return where the LoRA is that this training goes on from, empty for none; None when it is gone."""
        if job.resume_from is None:
            return ""
        earlier = self.record.jobs.get(job.resume_from)
        weights = earlier.weights if earlier else None
        if weights is None or not self.record.results.has(weights):
            return None
        return self.addresses.of_checkpoint(weights)

    def _pay(self, job: Job, request: SubmissionRequest, states: Sequence[Job]) -> Job:
        """Write the intent, POST once, write what came of it.

        No intent is written when a job that was given up has got its result meanwhile. An invocation
        that dies in between leaves a SUBMITTING job, which is never sent again by itself.
        """
        arguments = self._arguments(job, request)
        webhook_url = self._webhook_url(job)
        intent = self._intend(job, request)
        states = (*states, intent)
        try:
            receipt = self.fal.submit(job.application, arguments, webhook_url=webhook_url)
        except ThrottledError:
            return self._settle(intent, Status.READY, states, problems=(FAL_BUSY,))
        except NotSubmittedError:
            return self._settle(intent, Status.READY, states, problems=(FAL_UNREACHABLE,))
        except SubmissionRefusedError as refused:
            to = Status.HELD if refused.held else Status.FAILED
            return self._settle(intent, to, states, problems=(refused.problem,))
        except SubmissionUnknownError as unknown:
            problem = submission_unknown(str(unknown))
            return self._settle(intent, Status.SUBMIT_UNKNOWN, states, problems=(problem,))
        sent = {"request_id": receipt.request_id, "problems": ()}
        return self._settle(intent, Status.SUBMITTED, states, **sent)

    def _intend(self, job: Job, request: SubmissionRequest, *, fresh: bool = False) -> Job:
        """Write the intent, with its slot and its money; raises BalanceTooLowError where fal's balance ends first.

        A balance from some seconds ago holds no job: fal is asked once more before.
        """
        limit = self.balance.limit_for(job, self.record.clock(), fresh=fresh)
        try:
            return self.record.intend(
                job,
                Status.SUBMITTING,
                limits=limit.within(self.limits) if limit else self.limits,
                unchanged=request.unchanged,
                delivery=request.address.delivery,
                problems=(),
            )
        except OverBudgetError as error:
            if limit is None or not limit.binds(self.limits):
                raise
            if fresh:
                raise BalanceTooLowError(limit.balance_usd, limit.reserved_usd) from error
        return self._intend(job, request, fresh=True)

    def _settle(self, intent: Job, to: Status, states: Sequence[Job], **changes: Any) -> Job:
        """Write what came of the POST, even where a fact from fal was faster than this write.

        fal's webhook may come before the answer to the POST was written down; it then has adopted
        the request, and what it wrote says more than what is known here.
        """
        job = intent
        for _ in range(SETTLE_ATTEMPTS):
            try:
                return self.record.move(job, to, states=states, **changes)
            except ConflictError:
                job = self.record.jobs.get(intent.job_id) or intent
                if not _still_open(job, intent) or to not in TRANSITIONS[job.status]:
                    self.record.publish_left(job)  # its writer knew of its own change alone
                    return job
        raise ConflictError(f"{intent.job_id} keeps changing")

    def _arguments(self, job: Job, request: SubmissionRequest) -> dict[str, object]:
        if job.picture is not None:
            return picture_arguments(job.picture, request.address.url)
        if job.parameters is None:
            raise ValueError(f"{job.job_id} is {job.status} without parameters")
        arguments = job.parameters.arguments(request.address.url)
        checkpoint = {"resume_from_checkpoint": request.checkpoint} if request.checkpoint else {}
        return {**arguments, **checkpoint}

    def _webhook_url(self, job: Job) -> str:
        token = webhook_token(self.webhook_secret(), job.job_id)
        return f"{self.webhook_base_url.rstrip('/')}/webhooks/fal/{job.job_id}/{token}"


def _stands_in_everybodys_way(job: Job) -> bool:
    """Return whether fal refused our account, not this job: the next one would be refused as well."""
    return job.status is Status.HELD and of_account(job.problems)


def _still_open(job: Job, intent: Job) -> bool:
    """Return whether this very submission is still open, and no other was begun."""
    doubtful = job.status in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN)
    return doubtful and job.intents == intent.intents
