"""Erases everything that is kept of a job here and at fal, but for a proof without names.

The order makes it safe to stop anywhere. First of all the job's row becomes a tombstone, in one write:
from then on no event, no webhook and no sweep can bring the job back, nor have it paid once more.
Then its objects go, then what fal has stored. Last, when everybody is dead who may have read the job
before, all of it is looked for again; only when nothing is found does the tombstone lose what is
needed to look, and stays as the proof. Each step may be taken again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any

from lora_drop.jobs.erasures import FAL_KEEPS, UNANSWERED, Erasure, Found
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    ConflictError,
    FalUnavailableError,
    JobNotFoundError,
    SharedJobError,
)
from lora_drop.jobs.ids import digest_of, is_fetched
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.lineage import latest_key
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import FORGET_PATIENCE, FORGET_ROUND
from lora_drop.ports import (
    Clock,
    Erasable,
    Eraser,
    Erasures,
    JobStore,
    Payloads,
    PayloadsErased,
    Place,
)
from lora_drop.services.latest import LatestLoras
from lora_drop.services.related_jobs import RelatedJobs, sentences

# Against another writer of the job at the same moment; the job is read again each time.
ATTEMPTS = 3
ROUND = FORGET_ROUND
# Where they are, and batches of versions and of unfinished uploads.
type Things = tuple[Eraser, Iterable[Sequence[Erasable]], Iterable[Sequence[Erasable]]]

PATIENCE = FORGET_PATIENCE.total_seconds()
HOW_TO_END = {
    Status.STORING: "it is trained and paid, and its files are being stored; wait for its end",
    Status.SUBMITTING: "it is being submitted this very moment; try again in a minute",
    Status.SUBMIT_UNKNOWN: "it may or may not be at fal; settle that first: lora-drop resolve {}",
}
CANCEL = "end it first: lora-drop cancel {}"


@dataclass(frozen=True, slots=True)
class ForgetService:
    """``datasets`` and ``results`` are the two buckets. ``tick`` counts seconds."""

    jobs: JobStore
    erasures: Erasures
    datasets: Eraser
    results: Eraser
    payloads: Payloads
    latest: LatestLoras
    clock: Clock
    patience: float = PATIENCE
    tick: Callable[[], float] = monotonic

    def look(self, job_id: str, *, family: bool = False) -> Sequence[Job]:
        """Return the jobs that this order would erase, the job first; none when it is begun already.

        Nothing is written. Raises JobNotFoundError, ActionNotAllowedError and SharedJobError as ``forget`` would.
        """
        begun = self.erasures.erasure(digest_of(job_id))
        return () if begun else self._whole(job_id, family=family)

    def forget(self, job_id: str, *, family: bool = False) -> Sequence[Erasure]:
        """Return the erasures of a job and, where that is wanted, of all that share with it; the job's first.

        As far as they have come in the time there is: to be called again until they are done. Raises
        JobNotFoundError, ActionNotAllowedError for a job that has not ended, Shared when others share with it and
        are not to be forgotten, Conflict, NotErasableError and FalUnavailableError.
        """
        until = self.tick() + self.patience
        first = self._first(job_id, family=family)
        beside = (self.erasures.erasure(digest) for digest in first.beside)
        return tuple(self._go_on(each, until) for each in (first, *beside) if each)

    def go_on(self) -> Sequence[Erasure]:
        """Return the erasures that are not done, as far as there is time; raises what ``forget`` raises.

        What went wrong with one does not stop the others: the first of it is raised at the end. Each
        round begins with another one, so one that takes all of the time delays no other for long.
        """
        until, wrong, gone_on = self.tick() + self.patience, list[Exception](), list[Erasure]()
        for erasure in self._in_turn():
            if self.tick() > until:
                break
            try:
                gone_on.append(self._go_on(erasure, until))
            except ConflictError:
                continue  # another invocation works on it
            except Exception as trouble:  # noqa: BLE001  # raised when the others were seen to
                wrong.append(trouble)
        if wrong:
            raise wrong[0]
        return gone_on

    def waiting(self) -> Sequence[int]:
        """Return how long each erasure that is not done has taken until now, in seconds."""
        now = self.clock()
        return [int((now - each.begun_at).total_seconds()) for each in self.erasures.erasing()]

    def _in_turn(self) -> Sequence[Erasure]:
        erasing = list(self.erasures.erasing())
        first = int(self.clock().timestamp() // ROUND.total_seconds()) % max(len(erasing), 1)
        return [*erasing[first:], *erasing[:first]]

    def _first(self, job_id: str, *, family: bool) -> Erasure:
        """Return the job's erasure, begun now where it is not; raises ConflictError when others write of it all the time."""
        for _ in range(ATTEMPTS - 1):
            with suppress(ConflictError):
                return self._found_or_begun(job_id, family=family)
        return self._found_or_begun(job_id, family=family)

    def _found_or_begun(self, job_id: str, *, family: bool) -> Erasure:
        found = self.erasures.erasure(digest_of(job_id))
        return found or self._begun(job_id, family=family)

    def _whole(self, job_id: str, *, family: bool) -> Sequence[Job]:
        """Return a job and those that go with it, all of them ended."""
        job = self.jobs.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        _check_ended(job)
        if job.picture is not None:
            raise ActionNotAllowedError(
                f"{job_id} is a picture of the proof sheet of {job.picture.proof_of}, and goes with it: "
                f"lora-drop forget {job.picture.proof_of}"
            )
        found = RelatedJobs(self.jobs).of(job)
        if found and not family:
            raise SharedJobError(job_id, [kin.job.job_id for kin in found], sentences(found))
        for kin in found:
            _check_ended(kin.job)
        trainings = (job, *(kin.job for kin in found))
        return (*trainings, *(each for training in trainings for each in self._pictures(training)))

    def _pictures(self, job: Job) -> Sequence[Job]:
        """Return the pictures of a job's proof sheet, all of them ended.

        Raises ActionNotAllowedError also while one is still to be opened: nothing may be opened for a job that is gone.
        """
        found = []
        for picture_id in job.proof.pictures if job.proof else ():
            picture = self.jobs.get(picture_id)
            if picture is not None:
                _check_ended(picture)
                found.append(picture)
            elif not self.jobs.forgotten(picture_id):
                raise ActionNotAllowedError(
                    f"the proof sheet of {job.job_id} is being ordered; try again in some minutes"
                )
        return found

    def _begun(self, job_id: str, *, family: bool) -> Erasure:
        """Return the tombstones of a job and its family.

        The job's comes last, and before it that of whom one was found by: so a repetition finds the
        rest. Those that an interrupted order has begun with are not done before the job's either.
        """
        job, *others = self._whole(job_id, family=family)
        digest = digest_of(job_id)
        begun = [each for each in self.erasures.erasing() if each.ordered_with == digest]
        whole = (job, *others, *(each.job for each in begun if each.job))
        begun += [self._begin(each, whole, ordered_with=digest) for each in reversed(others)]
        return self._begin(job, whole, beside=tuple(each.digest for each in begun))

    def _begin(self, job: Job, family: Sequence[Job], **order: Any) -> Erasure:
        # A retry is younger than the dataset; the first job for it is not.
        dropped_by = min(each.created_at for each in family if each.dataset == job.dataset)
        erasure = Erasure.of(job, now=self.clock(), dropped_by=dropped_by, **order)
        self.erasures.begin(job, erasure)
        return erasure

    def _go_on(self, erasure: Erasure, until: float) -> Erasure:
        job = erasure.job
        if job is None:
            return erasure
        if erasure.found is None:
            # Before the first of it goes, so that it is the whole number however often this stops.
            erasure = erasure.since(self._came(job))
            erasure = self._kept(erasure, erasure.counted(self._count(job, erasure)))
        if not self._erase(job, erasure, until):
            return erasure
        for request_id in erasure.requests:
            answer = self._erased_at_fal(erasure, request_id)
            after = erasure.at_fal(request_id, files=answer.files, left=answer.left)
            erasure = self._kept(erasure, after)
            if self.tick() > until:
                return erasure
        if erasure.erased_at is None:
            erasure = self._kept(erasure, erasure.erased(self.clock()))
        if self.clock() < erasure.last_look_at or self._count(job, erasure) != Found():
            return erasure
        return self._kept(erasure, erasure.done(self.clock()))

    def _erased_at_fal(self, erasure: Erasure, request_id: str) -> PayloadsErased:
        try:
            return self.payloads.erase(request_id)
        except FalUnavailableError:
            if self.clock() - erasure.begun_at < FAL_KEEPS:
                raise
            # A fal that is silent for ever must not make us keep for ever by whom it is.
            return PayloadsErased(left=(UNANSWERED,))

    def _erase(self, job: Job, erasure: Erasure, until: float) -> bool:
        """Return everything in the two buckets, until a look finds nothing; False when time is up before."""
        found = True
        while found:
            found = False
            self.latest.remove(job)
            for action in self._deletions(job, erasure):
                action()
                found = True
                if self.tick() > until:
                    return False
        return True

    def _deletions(self, job: Job, erasure: Erasure) -> Iterator[Callable[[], None]]:
        for store, versions, uploads in self._things(job, erasure):
            yield from (partial(store.abort_all, batch) for batch in uploads)
            yield from (partial(store.erase, batch) for batch in versions)

    def _came(self, job: Job) -> datetime | None:
        """Return when the dataset came, by the clock that whatever came later is measured with."""
        found = (each for batch in self.datasets.versions(Place(job.dataset.key)) for each in batch)
        return next(
            (each.came for each in found if each.version_id == job.dataset.version_id), None
        )

    def _count(self, job: Job, erasure: Erasure) -> Found:
        (_, dropped, uploads), (_, files, unfinished) = self._things(job, erasure)
        named = self.latest.names_others_too(job)
        return Found(
            dataset_versions=sum(map(len, dropped)),
            result_versions=sum(map(len, files)) + named,
            unfinished_uploads=sum(map(len, uploads)) + sum(map(len, unfinished)),
        )

    def _things(self, job: Job, erasure: Erasure) -> tuple[Things, Things]:
        """Return what lies in the two buckets: versions, and unfinished uploads."""
        key, folder = Place(job.dataset.key), Place(job.prefix, folder=True)
        mine = partial(_of_this_drop, job.dataset, erasure.dropped_by)
        # A picture has no dataset of its own, and its training may still be there.
        kept = job.picture is not None
        dropped = filter(None, map(mine, () if kept else self.datasets.versions(key)))
        uploads = filter(None, map(mine, () if kept else self.datasets.unfinished(key)))
        latest = () if kept else self._latest_versions(job)
        files = chain(self.results.versions(folder), latest)
        unfinished = self.results.unfinished(folder)
        return (self.datasets, dropped, uploads), (self.results, files, unfinished)

    def _latest_versions(self, job: Job) -> Iterator[Sequence[Erasable]]:
        """Yield the versions of the dataset's ``latest.json`` that may name the job."""
        goes = self.latest.erasable(job)
        for batch in self.results.versions(Place(latest_key(job.dataset.key))):
            if found := [each for each in batch if goes(each)]:
                yield found

    def _kept(self, before: Erasure, after: Erasure) -> Erasure:
        self.erasures.keep(before, after)
        return after


def _of_this_drop(
    dataset: DatasetVersion, dropped_by: datetime, found: Sequence[Erasable]
) -> Sequence[Erasable]:
    """Return what of a dataset's key goes with a job: not what was dropped since and has no job yet.

    A later delete marker goes as well, unless it hides such a drop. What was fetched is one job's alone, and
    came after it.
    """
    if is_fetched(dataset.key):
        return found
    later = [
        each for each in found if each.came > dropped_by and each.version_id != dataset.version_id
    ]
    if all(each.marker for each in later):
        return found
    return [each for each in found if each not in later]


def _check_ended(job: Job) -> None:
    """Raise ActionNotAllowedError while the job is, or may be, worked on."""
    if not job.terminal:
        how = HOW_TO_END.get(job.status, CANCEL).format(job.job_id)
        raise ActionNotAllowedError(f"{job.job_id} is {job.status}; {how}")
