"""Several jobs of one dataset, their reports, and a stack that answers with them."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from lora_drop.client.stack import Stack
from lora_drop.datasets.report import Report
from lora_drop.datasets.reports import json_text
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.artifacts import LoraFacts, StoredFile
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.client_fixtures import error_answer
from tests.support.reports import make_photo, make_report

KEY = "portrait/ada.zip"
LORA = StoredFile(
    name="lora.safetensors", bucket="models", key="a/lora.safetensors", size=89_745_304, sha256="ab"
)
FACTS = LoraFacts(size=89_745_304, tensors=988, dtypes=("BF16",), ranks=(16,))


def version(number: int, key: str = KEY, **changes: Any) -> Job:
    """The job of one version of a dataset, which has a LoRA."""
    dataset = make_dataset(key, version_id=f"v{number}", etag=f"e{number}")
    made = {
        "job_id": job_id_for(dataset.bucket, dataset.key, dataset.version_id),
        "dataset": dataset,
        "created_at": NOW + timedelta(hours=number),
        "charge": Charge(month="2026-11", usd=3.6, state=ChargeState.SPENT),
        "parameters": TrainingParameters(steps=1000 * number, trigger_phrase="ada"),
        "files": (LORA,),
        "lora": FACTS,
    }
    return make_job(Status.SUCCEEDED, **{**made, **changes})


def report_of(*digests: str) -> Report:
    """A report of photos with these SHA-256s, each called like its own."""
    photos = [make_photo(f"{digest}.jpg", sha256=digest) for digest in digests]
    return make_report(photos=tuple(photos))


def proof(likeness: float, among: float) -> dict[str, Any]:
    """What the API says of a proof sheet."""
    return {"likeness": {"likeness": likeness, "among_photos": among, "pictures": [], "advice": ""}}


class Served:
    """A stack that has these jobs, and their folders in the models bucket."""

    def __init__(self, stack: Stack, *jobs: Job) -> None:
        self.jobs: dict[str, Job] = {}
        self.more: dict[str, Mapping[str, Any]] = {}
        self.asked: list[str] = []
        self.s3 = stack.client("s3")
        self.s3.create_bucket(Bucket="models")
        for job in jobs:
            self.add(job)

    def add(self, job: Job, report: Report | None = None, **more: Any) -> Job:
        """Serve a job, with its report and with more fields than its own."""
        self.jobs[job.job_id], self.more[job.job_id] = job, more
        self.put(job, "status.json", b"{}")
        if report:
            self.put(job, "report.json", json_text(report).encode())
        return job

    def put(self, job: Job, name: str, body: bytes) -> None:
        self.s3.put_object(Bucket="models", Key=job.prefix + name, Body=body)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/live/jobs")
        self.asked.append(path)
        if path == "":
            return httpx.Response(200, json={"jobs": [*map(self._shown, self.jobs)], "next": None})
        job_id = path.strip("/")
        if job_id not in self.jobs:
            return error_answer(410, "job_forgotten", "It was erased.")
        return httpx.Response(200, json=self._shown(job_id))

    def _shown(self, job_id: str) -> dict[str, Any]:
        return {**json.loads(json.dumps(public(self.jobs[job_id]))), **self.more[job_id]}
