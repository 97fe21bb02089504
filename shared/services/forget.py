"""A job is forgotten: everything that is kept of it here and at fal, but for a proof without names.

The order makes it safe to stop anywhere. First of all the job's row becomes a tombstone, in one write:
from then on no event, no webhook and no sweep can bring the job back, nor have it paid once more.
Then its objects go, then what fal has stored. Last, when everybody is dead who may have read the job
before, all of it is looked for again; only when nothing is found does the tombstone lose what is
needed to look, and stays as the proof. Each step may be taken again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic

from shared.domain.erasures import FAL_KEEPS, UNANSWERED, Erasure, Found, digest_of
from shared.domain.errors import Conflict, NothingToDecide, Shared, TrainerUnavailable, UnknownJob
from shared.domain.jobs import Job, Status
from shared.ports import Clock, Eraser, Erasures, JobStore, Payloads, PayloadsErased, Place
from shared.services.family import Family

# API Gateway waits for 29 s, and the last step takes its time.
PATIENCE = 15.0  # seconds
HOW_TO_END = {
    Status.STORING: "it is trained and paid, and its files are being stored; wait for its end",
    Status.SUBMITTING: "it is being submitted this very moment; try again in a minute",
    Status.SUBMIT_UNKNOWN: "it may or may not be at fal; settle that first: lora-drop resolve",
}


@dataclass(frozen=True, slots=True)
class Forgetter:
    """``datasets`` and ``results`` are the two buckets. ``tick`` counts seconds."""

    jobs: JobStore
    erasures: Erasures
    datasets: Eraser
    results: Eraser
    payloads: Payloads
    clock: Clock
    patience: float = PATIENCE
    tick: Callable[[], float] = monotonic

    def forget(self, job_id: str, *, family: bool = False) -> Sequence[Erasure]:
        """The erasures of a job and, where that is wanted, of all that share with it; the job's first.

        As far as they have come in the time there is: to be called again until they are done. Raises
        UnknownJob, NothingToDecide for a job that has not ended, Shared when others share with it and
        are not to be forgotten, Conflict, NotErasable and TrainerUnavailable.
        """
        until = self.tick() + self.patience
        first = self.erasures.erasure(digest_of(job_id)) or self._begun(job_id, family=family)
        beside = (self.erasures.erasure(digest) for digest in first.beside)
        return tuple(self._go_on(each, until) for each in (first, *beside) if each)

    def go_on(self) -> Sequence[Erasure]:
        """Every erasure that is not done, as far as there is time; raises what ``forget`` raises.

        What went wrong with one does not stop the others: the first of it is raised at the end.
        """
        until, wrong, gone_on = self.tick() + self.patience, list[Exception](), list[Erasure]()
        for erasure in self.erasures.erasing():
            try:
                gone_on.append(self._go_on(erasure, until))
            except Conflict:
                continue  # somebody else is at it
            except Exception as trouble:  # noqa: BLE001  # raised when the others were seen to
                wrong.append(trouble)
        if wrong:
            raise wrong[0]
        return gone_on

    def waiting(self) -> Sequence[int]:
        """How long each erasure that is not done has taken until now, in seconds."""
        now = self.clock()
        return [int((now - each.begun_at).total_seconds()) for each in self.erasures.erasing()]

    def _begun(self, job_id: str, *, family: bool) -> Erasure:
        """The tombstones of a job and its family: the job's comes last, so a repetition finds the rest."""
        job = self.jobs.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        others = Family(self.jobs).of(job)
        if others and not family:
            raise Shared(job_id, [each.job_id for each in others])
        for each in (job, *others):
            _check_ended(each)
        beside = tuple(self._begin(each).digest for each in others)
        return self._begin(job, beside)

    def _begin(self, job: Job, beside: tuple[str, ...] = ()) -> Erasure:
        erasure = Erasure.of(job, now=self.clock(), beside=beside)
        self.erasures.begin(job, erasure)
        return erasure

    def _go_on(self, erasure: Erasure, until: float) -> Erasure:
        job = erasure.job
        if job is None:
            return erasure
        if erasure.found is None:
            # Before the first of it goes, so that it is the whole number however often this stops.
            erasure = self._kept(erasure, erasure.counted(self._count(job, erasure)))
        if not self._erase(job, erasure, until):
            return erasure
        for request_id in erasure.requests:
            told = self._erased_at_fal(erasure, request_id)
            after = erasure.at_fal(request_id, files=told.files, left=told.left)
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
        except TrainerUnavailable:
            if self.clock() - erasure.begun_at < FAL_KEEPS:
                raise
            # A fal that is silent for ever must not make us keep for ever by whom it is.
            return PayloadsErased(left=(UNANSWERED,))

    def _erase(self, job: Job, erasure: Erasure, until: float) -> bool:
        """Everything in the two buckets, until a look finds nothing; False when time is up before."""
        found = True
        while found:
            found = False
            for action in self._deletions(job, erasure):
                action()
                found = True
                if self.tick() > until:
                    return False
        return True

    def _deletions(self, job: Job, erasure: Erasure) -> Iterator[Callable[[], None]]:
        for store, place in self._places(job, erasure):
            for uploads in store.unfinished(place):
                yield partial(store.abort_all, uploads)
            for versions in store.versions(place):
                yield partial(store.erase, versions)

    def _count(self, job: Job, erasure: Erasure) -> Found:
        (datasets, key), (results, folder) = self._places(job, erasure)
        return Found(
            dataset_versions=sum(map(len, datasets.versions(key))),
            result_versions=sum(map(len, results.versions(folder))),
            unfinished_uploads=sum(map(len, datasets.unfinished(key)))
            + sum(map(len, results.unfinished(folder))),
        )

    def _places(self, job: Job, erasure: Erasure) -> Sequence[tuple[Eraser, Place]]:
        """Where a job's things lie. What is dropped by the same name afterwards is another's."""
        dataset = Place(job.dataset.key, before=erasure.begun_at)
        return (self.datasets, dataset), (self.results, Place(job.prefix, folder=True))

    def _kept(self, before: Erasure, after: Erasure) -> Erasure:
        self.erasures.keep(before, after)
        return after


def _check_ended(job: Job) -> None:
    """Raises NothingToDecide while somebody works on the job, or may."""
    if not job.terminal:
        how = HOW_TO_END.get(job.status, "end it first: lora-drop cancel")
        raise NothingToDecide(f"{job.job_id} is {job.status}; {how}")
