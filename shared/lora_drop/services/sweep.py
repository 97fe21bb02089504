"""What the reconciler looks for besides jobs: unpublished events, datasets without a job, abandoned uploads."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.jobs.time_limits import ABANDONED_AFTER, EVENTS_PATIENCE
from lora_drop.ports import Bookmarks, DatasetListing, Inbox, JobStore, ResultStore
from lora_drop.services.record import Record

# The writer of a change publishes it itself, after the one POST of a submission at the latest.
LEFT_AFTER = timedelta(minutes=1)
PATIENCE = EVENTS_PATIENCE.total_seconds()


@dataclass(frozen=True, slots=True)
class Outbox:
    """The changes that their writers could not publish."""

    record: Record
    tick: Callable[[], float] = monotonic

    def publish_left(self) -> int:
        """Publish each job's state that was left; return how many are left all the same.

        After the first event that EventBridge does not take, the others wait for the next round.
        """
        until, now = self.tick() + PATIENCE, self.record.clock()
        left, heard = 0, True
        for job_id, version in self.record.jobs.outbox().items():
            if not heard or self.tick() >= until:
                left += 1
                continue
            job = self.record.jobs.get(job_id)
            if job is None:
                # It was forgotten, so no event names it.
                self.record.jobs.mark_published(job_id, version)
            elif now - job.since >= LEFT_AFTER:
                heard = self.record.publish_left(job)
                left += not heard
        return left


BOOKMARK = "datasets"
# S3: an event usually comes within seconds, and "can sometimes take a minute or longer".
SETTLED_AFTER = timedelta(minutes=5)
# Messages that wait in the inbox: so many are a burst, and fewer are taken within seconds.
BACKLOG = 10
# A queue that is never empty keeps a lost event from being made up for until then.
BACKLOG_PATIENCE = timedelta(hours=1)
# Older objects were there before this table: to train all of them at once would be a surprise bill.
FORGOTTEN_AFTER = timedelta(days=14)


@dataclass(slots=True)
class SweepResult:
    """Datasets without a job that were announced, uploads without one that were ended."""

    datasets: int = 0
    uploads: int = 0

    def add(self, other: "SweepResult") -> None:
        """Count another sweep's finds as well."""
        self.datasets += other.datasets
        self.uploads += other.uploads


@dataclass(frozen=True, slots=True)
class Sweep:
    """The two sweeps of a round."""

    jobs: JobStore
    shelf: DatasetListing
    bookmarks: Bookmarks
    inbox: Inbox
    results: ResultStore

    def datasets(self, now: datetime) -> SweepResult:
        """Announce every dataset of the next page that no job is for; those of two weeks at most.

        In a burst, young datasets are left alone: their events still wait in the inbox, which each of them announced once
        more would make longer. A page a round: a bucket of any size is walked through, and a small one each time.
        """
        page = self.shelf.list_page(self.bookmarks.bookmark(BOOKMARK))
        settled = {
            job_id_for(dataset.bucket, dataset.key, dataset.version_id): dataset
            for dataset, came in page.datasets
            if SETTLED_AFTER <= now - came < FORGOTTEN_AFTER
        }
        lost = [settled[job_id] for job_id in self.jobs.missing(tuple(settled))]
        if lost and self.inbox.backlog() >= BACKLOG:
            came = dict(page.datasets)
            lost = [each for each in lost if now - came[each] >= BACKLOG_PATIENCE]
        for dataset in lost:
            self.inbox.announce(dataset)
        # Kept last: if this dies before, the next round lists this page again.
        self.bookmarks.keep_bookmark(BOOKMARK, page.after)
        return SweepResult(datasets=len(lost))

    def uploads(self, jobs: Iterable[Job], now: datetime) -> SweepResult:
        """End every old multipart upload that no open job may still go on with."""
        keep = {upload.upload_id for job in jobs for upload in job.uploads}
        return SweepResult(uploads=self.results.sweep(older_than=now - ABANDONED_AFTER, keep=keep))
