"""A finished job's files, from fal into our bucket."""

from dataclasses import dataclass

from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.errors import ResultGone, ResultUnusable, TrainerUnavailable, UnknownJob
from shared.domain.facts import Failed, Finished, Gone, Running
from shared.domain.jobs import Job, Status
from shared.domain.notices import JOB_FILE, job_text
from shared.domain.problems import Problem
from shared.ports import ArtifactSource, ResultStore, Trainer
from shared.services.receive import GONE
from shared.services.record import Record


@dataclass(frozen=True, slots=True)
class Keeper:
    """The worker that ends a job."""

    record: Record
    results: ResultStore
    source: ArtifactSource
    trainer: Trainer

    def store_result(self, job_id: str) -> Job:
        """The job with every result file in the models bucket; a second call changes nothing.

        Raises UnknownJob, and DownloadInterrupted, ForeignHost or TrainerUnavailable to be called
        again.
        """
        job = self.record.jobs.get(job_id)
        if job is None:
            raise UnknownJob(job_id)
        if job.status is not Status.STORING:
            self.record.publish(job)
            return job
        try:
            artifacts = job.artifacts or self._artifacts(job)
            files = tuple(self._copy(job, artifact) for artifact in artifacts)
        except ResultGone:
            return self.record.move(job, Status.EXPIRED, problems=(GONE,))
        except ResultUnusable as unusable:
            return self.record.move(job, Status.FAILED, problems=(unusable.problem,))
        complete = job.model_copy(update={"artifacts": artifacts, "files": files})
        self.results.write(job.prefix + JOB_FILE, job_text(complete), "application/json")
        return self.record.move(complete, Status.SUCCEEDED, files=files, artifacts=artifacts)

    def _copy(self, job: Job, artifact: Artifact) -> StoredFile:
        with self.source.open(artifact) as chunks:
            return self.results.store(job.prefix + artifact.name, artifact, chunks)

    def _artifacts(self, job: Job) -> tuple[Artifact, ...]:
        """The result as fal keeps it, for a webhook that came without one."""
        if job.request_id is None:
            raise TrainerUnavailable(f"{job.job_id} has no request to ask about")
        match self.trainer.ask(job.application, job.request_id):
            case Finished(artifacts=()):
                raise ResultUnusable(_without_files(job.request_id))
            case Finished(artifacts=artifacts):
                return artifacts
            case Failed(problem=problem):
                raise ResultUnusable(problem)
            case Gone():
                raise ResultGone(job.job_id)
            case Running():
                raise TrainerUnavailable(f"fal has no result for {job.job_id} yet")


def _without_files(request_id: str) -> Problem:
    return Problem(
        code="result_without_files",
        message="fal says that the training succeeded, but its result names no file. "
        f"Ask fal about request {request_id}.",
    )
