"""One stack as its users call it, in JSON documents. The command and `LoraDrop` are built on it."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.local_files import sha256_of
from lora_drop.client.api_client import ApiClient
from lora_drop.client.archive import Archive, archive_of
from lora_drop.client.errors import CommandError, JobUnknownError
from lora_drop.client.parameters import check_parameters, drop_advice, metadata_of
from lora_drop.client.stack import NEVER_CONNECTED, REFUSE, Stack, find_stack
from lora_drop.client.upload import PART, FileChangedError, MultipartUpload, unfinished_uploads
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.ids import MAX_JOB_ID, job_id_for, result_prefix
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status

TIMEOUT = httpx.Timeout(30.0)
SEGMENT = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_JOB_ID}}}")  # job ids are of these characters
PAGE = 100  # jobs; the API gives no more at once

type Progress = Callable[[int, int], None]  # bytes sent, bytes in all
type Advise = Callable[[Problem], None]


class StackClient:
    """One stack, as its users see it. Every method raises CommandError with what to do."""

    def __init__(self, stack: Stack | None = None, *, http: httpx.Client | None = None) -> None:
        self.stack = stack or find_stack(None)
        self._api = ApiClient(self.stack, http or httpx.Client(timeout=TIMEOUT))

    def close(self) -> None:
        """Close the connections to the API."""
        self._api.close()

    def drop(
        self,
        path: Path,
        *,
        key: str | None = None,
        parameters: Mapping[str, object] | None = None,
        progress: Progress | None = None,
        advise: Advise | None = None,
        without: Collection[str] = (),
    ) -> str:
        """Upload a ZIP, or a folder as one; the id of the job that it becomes.

        ``parameters`` are the trainer's, ``trainer`` and ``preset``; they become the object's
        metadata. Wrong ones are refused before anything is sent; ``advise`` is called with what is
        allowed and yet may not be meant. A folder's files ``without`` which the ZIP is made stay here.
        """
        metadata = metadata_of(parameters or {})
        with _packed(path, without) as archive:
            at, content = key or archive.key, sha256_of(archive.path)
            resolved = check_parameters(
                archive.path, key=at, metadata=metadata, application=self.stack.application
            )
            for problem in drop_advice(resolved, at, refuse=self.stack.misspelled_folder == REFUSE):
                (advise or _silent)(problem)
            try:
                version = self._upload(archive.path, at, metadata, progress or _silent, content)
            except NEVER_CONNECTED as error:
                raise self.stack.unreachable(f"{path} could not be uploaded", error) from error
            except (BotoCoreError, ClientError) as error:
                raise CommandError(
                    f"{path} could not be uploaded: {error}. Whether it arrived after all shows: lora-drop jobs "
                    f"--dataset {shlex.quote(at)}. If not, the same command goes on where a large file stopped."
                ) from error
        return job_id_for(self.stack.datasets_bucket, at, version)

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as it stands, and ``location``, where its files lie; raises JobUnknownError."""
        return self._located(self._ask("GET", _path(job_id)))

    def logs(self, job_id: str, after: int = 0) -> dict[str, Any]:
        """The training's log as fal has it now: ``lines`` after the first ``after``, and ``next`` to ask with.

        ``progress`` (``step``, ``steps``, ``percent``, ``eta_seconds``, ``at``) and ``queue_position`` are None
        where nothing is known. Once fal has none, or the job has ended, ``lines`` is empty. Raises JobUnknownError.
        """
        return self._ask("GET", _path(job_id, "logs"), {"after": str(after)})

    def jobs(
        self,
        *,
        status: Status | None = None,
        reference: str | None = None,
        dataset: str | None = None,
        search: str | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """``jobs``, newest first, and ``next``, the cursor of the page after them, or None.

        With a ``reference``, a ``dataset`` (a key, or a file's name) or a ``search`` (a part of the id, the dataset's
        key, the trigger phrase or the reference, in small or capital letters), the pages are read until ``limit`` jobs fit; the last page
        is given in full.
        """
        if reference is None and dataset is None and not search:
            return self._page(status, limit, cursor)
        found: list[dict[str, Any]] = []
        while True:
            page = self._page(status, PAGE, cursor)
            found += [
                each for each in page["jobs"] if _fits(each, reference, dataset, search or "")
            ]
            cursor = page["next"]
            if cursor is None or len(found) >= limit:
                return {"jobs": found, "next": cursor}

    def _page(self, status: Status | None, limit: int, cursor: str | None) -> dict[str, Any]:
        query = {"status": status, "limit": str(limit), "cursor": cursor}
        page = self._ask("GET", "/jobs", {name: value for name, value in query.items() if value})
        return {"jobs": [self._located(job) for job in page["jobs"]], "next": page["next"]}

    def resolve(self, job_id: str, *, request_id: str | None = None) -> dict[str, Any]:
        """Settle a submission in doubt: fal has this request, or (None) never got one.

        Without a request the dataset is paid for once more. Our credentials are kept in the job.
        """
        said = {"request_id": request_id} if request_id else {"not_submitted": True}
        return self._located(self._ask("POST", _path(job_id, "resolve"), body=json.dumps(said)))

    def approve(self, job_id: str) -> dict[str, Any]:
        """Let a held job go on. Our credentials are kept in the job."""
        return self._located(self._ask("POST", _path(job_id, "approve")))

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Stop a job: for free before it is sent, as far as fal can afterwards."""
        return self._located(self._ask("POST", _path(job_id, "cancel")))

    def retry(self, job_id: str, *, resume: bool = False) -> dict[str, Any]:
        """The new job that pays for an ended one's dataset once more; ``resume`` from its LoRA."""
        body = json.dumps({"resume": resume})
        return self._located(self._ask("POST", _path(job_id, "retry"), body=body))

    def replay(self, job_id: str) -> dict[str, Any]:
        """The job after everything that fal has delivered for it, taken in once more."""
        return self._located(self._ask("POST", _path(job_id, "replay")))

    def files(self, job_id: str) -> list[dict[str, Any]]:
        """The stored files of a job: ``name``, ``size``, ``sha256``, ``url``, ``expires_at``; none before it has succeeded.

        The addresses need no credentials, and work for an hour at the most.
        """
        return list(self._ask("GET", _path(job_id, "files"))["files"])

    def create_dataset(
        self,
        name: str = "dataset.zip",
        *,
        parameters: Mapping[str, object] | None = None,
        reference: str | None = None,
        notify_url: str | None = None,
        force: bool = False,
        proof: bool | None = None,
        size: int | None = None,
    ) -> dict[str, Any]:
        """A signed form to upload one ZIP with: ``url``, ``fields``, ``key``, ``expires_at``, ``advice``.

        It is sent as multipart/form-data: all fields, then the ZIP as ``file``. What is uploaded is trained.
        """
        said = {"name": name, "parameters": dict(parameters or {}), "force": force}
        more = {"reference": reference, "notify_url": notify_url, "proof": proof, "size": size}
        body = said | {field: value for field, value in more.items() if value is not None}
        return self._ask("POST", "/datasets", body=json.dumps(body))

    def create_job(self, key: str, *, version_id: str | None = None) -> dict[str, Any]:
        """The job of an uploaded dataset, of its newest version without ``version_id``.

        It is the job that the upload itself makes, so that asking twice pays once.
        """
        body = {"key": key} | ({"version_id": version_id} if version_id else {})
        return self._located(self._ask("POST", "/jobs", body=json.dumps(body)))

    def forget(self, job_id: str, *, family: bool = False) -> dict[str, Any]:
        """Erase a job, and with ``family`` all that share with it: ``done``, and ``erasures``.

        As far as there is time: to be called again until it is done.
        """
        body = json.dumps({"family": family})
        return self._ask("POST", _path(job_id, "forget"), body=body)

    def to_be_forgotten(self, job_id: str, *, family: bool = False) -> list[dict[str, Any]]:
        """The jobs that ``forget`` would erase (``job_id``, ``status``, ``paid_usd``); erases nothing.

        None, when their erasing is begun already.
        """
        body = json.dumps({"family": family, "look": True})
        return list(self._ask("POST", _path(job_id, "forget"), body=body)["jobs"])

    def redrive(self) -> dict[str, int]:
        """Send dead letters back, until there are none; how many, by queue."""
        moved: dict[str, int] = {}
        while True:
            batch = self._ask("POST", "/redrive")["moved"]
            for queue, count in batch.items():
                moved[queue] = moved.get(queue, 0) + count
            if not any(batch.values()):
                return moved

    def budget(self) -> dict[str, Any]:
        """The month's dollars, the stack's limits, and the jobs at fal."""
        return self._ask("GET", "/budget")

    def _upload(
        self, path: Path, key: str, metadata: dict[str, str], progress: Progress, content: str
    ) -> str:
        """Return the version that S3 has made of it; ``content`` is the SHA-256 of what was looked at."""
        s3, size = self.stack.client("s3"), path.stat().st_size
        # An upload begins a job: where its answer is lost, a second one could be paid for as well.
        once = self.stack.client("s3", attempts=1)
        named = {"Bucket": self.stack.datasets_bucket, "Key": key}
        kind = {"ContentType": "application/zip", "Metadata": metadata}
        if size <= PART:
            body = path.read_bytes()
            if hashlib.sha256(body).hexdigest() != content:
                raise FileChangedError.of(path)
            put = once.put_object(**named, **kind, Body=body)
            progress(size, size)
            return _version(put)
        bucket = self.stack.datasets_bucket
        upload = MultipartUpload(s3, once, bucket, key, metadata, path, unfinished_uploads())
        return _version(upload.send(progress))

    def _located(self, job: dict[str, Any]) -> dict[str, Any]:
        prefix = result_prefix(job["dataset"]["key"], job["job_id"])
        return {**job, "location": f"s3://{self.stack.models_bucket}/{prefix}"}

    def _ask(self, *call: Any, **more: Any) -> dict[str, Any]:
        return self._api.ask(*call, **more)


def _path(job_id: str, *action: str) -> str:
    """The path of a job, or of what is done to it; raises JobUnknownError for what could be another path.

    "ada/retry?" would pay, and "" and ".." are other routes: an id holds no character that RFC 3986 reserves (2.2).
    """
    if not SEGMENT.fullmatch(job_id):
        raise JobUnknownError(f"There is no job {job_id!r}. All of them: lora-drop jobs")
    return "/".join(("/jobs", job_id, *action))


def _fits(job: Mapping[str, Any], reference: str | None, dataset: str | None, search: str) -> bool:
    """Whether a job has this reference, is of this dataset (its key, or the file's name in it), and is searched for."""
    key = job["dataset"]["key"]
    phrase = (job.get("parameters") or {}).get("trigger_phrase") or ""
    searched = (job["job_id"], key, job.get("reference") or "", str(phrase))
    if not any(search.casefold() in each.casefold() for each in searched):
        return False
    names = {key, key.rsplit("/", 1)[-1]}
    names |= {name.removesuffix(".zip") for name in names}
    return reference in (None, job.get("reference")) and (dataset is None or dataset in names)


@contextmanager
def _packed(path: Path, without: Collection[str]) -> Iterator[Archive]:
    try:
        with archive_of(path, without=without) as archive:
            yield archive
    except DatasetRejectedError as rejected:
        messages = (problem.message for problem in rejected.problems)
        raise CommandError("\n".join(("Nothing was uploaded.", *messages))) from rejected


def _version(answer: Mapping[str, Any]) -> str:
    return str(answer.get("VersionId") or "null")


def _silent(*_: object) -> None:
    """Report nothing."""
