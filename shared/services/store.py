"""A finished job's files, from fal into our bucket."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.artifacts import WEIGHTS, Artifact, StoredFile
from shared.domain.errors import (
    DownloadInterrupted,
    ForeignHost,
    ResultGone,
    ResultUnusable,
    TrainerUnavailable,
    UnknownJob,
)
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
        files: dict[str, StoredFile] = {}
        try:
            artifacts = self._store(job, files)
        except ResultGone:
            had = tuple(files.values())
            return self.record.move(job, Status.EXPIRED, problems=(_gone(job, had),), files=had)
        except ResultUnusable as unusable:
            return self.record.move(job, Status.FAILED, problems=(unusable.problem,))
        except (DownloadInterrupted, ForeignHost) as trouble:
            self._tell(job, trouble)
            raise
        stored = {"artifacts": artifacts, "files": tuple(files.values()), "problems": ()}
        complete = job.model_copy(update=stored)
        self.results.write(job.prefix + JOB_FILE, job_text(complete), "application/json")
        return self.record.move(complete, Status.SUCCEEDED, **stored)

    def _store(self, job: Job, files: dict[str, StoredFile]) -> tuple[Artifact, ...]:
        """Copy every file of the result into ``files``; the artifacts as they were named last.

        A CDN that says 404 says nothing of the result: fal is asked for the addresses once more,
        and only its own word that there is none ends the job.
        """
        artifacts = job.artifacts or self._artifacts(job)
        if self._copy(job, artifacts, files):
            artifacts = self._artifacts(job)
            if missing := self._copy(job, artifacts, files):
                raise DownloadInterrupted(f"fal still names {', '.join(missing)}, and has it not")
        return artifacts

    def _copy(
        self, job: Job, artifacts: Sequence[Artifact], files: dict[str, StoredFile]
    ) -> list[str]:
        """Copy what is not copied yet, the weights first; the names of what the CDN has not."""
        missing = []
        for artifact in sorted(artifacts, key=lambda each: each.name != WEIGHTS):
            if artifact.name in files:
                continue
            try:
                with self.source.open(artifact) as chunks:
                    key = job.prefix + artifact.name
                    files[artifact.name] = self.results.store(key, artifact, chunks)
            except ResultGone:
                missing.append(artifact.name)
        return missing

    def _tell(self, job: Job, trouble: DownloadInterrupted | ForeignHost) -> None:
        """Let a person know why the files are not there yet; once is enough."""
        if not job.problems:
            message = f"{trouble}. If this stays so for half an hour, look at the store function."
            self.record.note(job, Problem(code="result_not_copied", message=message))

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


def _gone(job: Job, had: Sequence[StoredFile]) -> Problem:
    if not had:
        return GONE
    names = " and ".join(stored.name for stored in had)
    return Problem(
        code="result_incomplete",
        message=f"fal no longer has the whole result of request {job.request_id}. {names} could be "
        "had and is stored beside this file.",
    )


def _without_files(request_id: str) -> Problem:
    return Problem(
        code="result_without_files",
        message="fal says that the training succeeded, but its result names no file. "
        f"Ask fal about request {request_id}.",
    )
