"""What a person sees in the terminal: a job moving on, one job, many jobs."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from time import monotonic, sleep
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from lora_drop.cli.job_table import coloured, local_time, table_lines
from lora_drop.cli.progress import progress_rows
from lora_drop.cli.progress_view import ProgressView
from lora_drop.cli.reports import problem_lines
from lora_drop.client.direct_following import RequestReader
from lora_drop.client.events import JobEvent, StatusChanged, Training
from lora_drop.client.following import STOPS, EventReader
from lora_drop.client.stack_client import Progress as Report
from lora_drop.datasets.reports.markup import shown as shown_value
from lora_drop.fal.trainers.parameters import TRAINER, ParameterSource
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job_files import REPORT_PAGE, of_job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status

type Watch = Callable[[Mapping[str, Any]], None]
PROBLEMS_SHOWN = 10  # names of those with one code
LORA = "lora.safetensors"
NEXT_DIRECT: Mapping[str, str] = {
    Status.SUBMITTED: "next: the training, 15 to 30 minutes for most datasets",
    Status.TRAINING: "next: the LoRA is fetched into a folder here, and checked",
}
LEAVE = "Ctrl-C ends the view; the job goes on."
# Without a check there is no report.
NEVER_READ = frozenset({"dataset_missing", "dataset_unreadable"})
UNSEEN = "not seen yet"
USUAL: Mapping[str, float] = {  # seconds; what lasts longer may never end by itself
    UNSEEN: 120,
    Status.RECEIVED: 600,  # every photo is looked at, twice if a function was stopped
    Status.READY: 4 * 3600,
    Status.SUBMITTING: 120,
    Status.SUBMIT_UNKNOWN: 3600,
    Status.SUBMITTED: 3600,
    Status.TRAINING: 3600,
    Status.STORING: 900,
}


class Display:
    """One console; what is written for programs does not go through here.

    ``progress`` is called with each step, for a program that wants to follow.
    """

    def __init__(self, console: Console, progress: Watch | None = None) -> None:
        self.console = console
        self._progress = progress or (lambda _: None)
        self._hinted: set[str] = set()
        self._before: Mapping[str, Any] | None = None  # the step that was shown last

    def say(self, line: str) -> None:
        """One line."""
        self.console.print(line, highlight=False, markup=False)

    def say_whole(self, line: str) -> None:
        """One line that a person may copy from: it is never broken."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Something that takes a while: shown while it lasts, then with how long it took."""
        started = monotonic()
        with self.console.status(name):
            yield
        seconds = monotonic() - started
        self.say(f"{name:<14} {seconds:5.1f} s")
        self._progress({"step": name, "seconds": round(seconds, 1)})

    def upload(self, name: str) -> AbstractContextManager[Report]:
        """A progress bar for an upload, from its first bytes on: it may be refused before them."""
        return self.transfer(f"upload {name}")

    @contextmanager
    def transfer(self, name: str) -> Iterator[Report]:
        """A progress bar for what is sent or fetched, from its first bytes on."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        bar = Progress(*columns, console=self.console)
        task = bar.add_task(name, total=None)

        def show(sent: int, size: int) -> None:
            bar.start()  # does nothing when it has started
            bar.update(task, completed=sent, total=size)
            self._progress({"step": name.partition(" ")[0], "sent": sent, "size": size})

        try:
            yield show
        finally:
            if bar.live.is_started:
                bar.stop()

    def follow(
        self, reader: EventReader, *, percents: bool = True, sleep: Callable[[float], None] = sleep
    ) -> dict[str, Any]:
        """Show a job as it goes on, until it has ended; the job as it was seen last.

        ``percents``: without a terminal, each tenth of its training is a line as well.
        """
        job_id = reader.watch.job_id
        self.say(f"job    {job_id}")
        view = ProgressView(self.console, LEAVE, percents=percents)
        known: list[Any] = []
        self._before = None
        try:
            with view.shown():
                while not reader.ended:
                    for event in reader.look():
                        job = reader.job or {}
                        view.facts = tuple(_facts(job))
                        view.take(event)
                        self._event(event, job)
                    view.silence = reader.silence
                    known = self._looked(reader, known)
                    if not reader.ended:
                        sleep(reader.pause)
        except KeyboardInterrupt:
            self.say_whole(f"The job goes on by itself. To see it: lora-drop watch {job_id}")
            raise
        return reader.job or {}

    def follow_request(
        self,
        reader: RequestReader,
        about: Mapping[str, Any],
        *,
        leave: str,
        sleep: Callable[[float], None] = sleep,
    ) -> None:
        """Show a training without a stack as it goes on, until it has ended."""
        view = ProgressView(self.console, leave, next_of=NEXT_DIRECT)
        price, phrase = about.get("estimated_cost_usd"), about.get("trigger_phrase")
        of_price = (f"about ${price:.2f}",) if price is not None else ()
        view.facts = (*of_price, *((f"trigger phrase {phrase}",) if phrase else ()))
        with view.shown():
            while not reader.ended:
                for event in reader.look():
                    view.take(event)
                    if isinstance(event, StatusChanged):
                        line = Text.assemble((local_time(event.at.isoformat()), "dim"), "  ")
                        self.console.print(line.append_text(coloured(event.status)))
                        row = {"status": event.status, "at": event.at.isoformat()}
                        self._progress({"request_id": reader.request_id, **row})
                    elif isinstance(event, Training):
                        far = {"request_id": reader.request_id, "training": _far(event)}
                        self._progress(far)
                if reader.silence != view.silence:
                    view.silence = reader.silence
                    if not self.console.is_terminal:  # on a terminal the view shows it
                        self.say_whole(f"  {reader.silence or 'fal answers again.'}")
                if not reader.ended:
                    sleep(reader.pause)

    def _event(self, event: JobEvent, job: Mapping[str, Any]) -> None:
        """A state in a line, and what a program that follows gets of it."""
        if isinstance(event, StatusChanged):
            step, before = _step_of(event, job), self._before
            self._before = step
            self._step(step, before)
            if before and before["status"] == Status.RECEIVED != event.status:
                self._accepted(job)
            self._progress({"job_id": job["job_id"], **step})
        elif isinstance(event, Training):
            self._progress({"job_id": job["job_id"], "training": _far(event)})

    def _looked(self, reader: EventReader, known: list[Any]) -> list[Any]:
        """What is wrong, and whether it takes too long; the problems as they are known now."""
        job = reader.job
        if job is None:
            self._hint(UNSEEN, reader.watch.seconds)
            return known
        since = (datetime.now(UTC) - _moment(job["history"][-1]["at"])).total_seconds()
        self._hint(job["status"], since)
        problems: list[Any] = job["problems"]
        if problems != known and Status(job["status"]) not in STOPS:
            self.problems(job)
        return problems

    def _hint(self, status: str, seconds: float) -> None:
        """Where to look when nothing moves; said once for each state."""
        if status in self._hinted or seconds <= USUAL.get(status, math.inf):
            return
        self._hinted.add(status)
        self.say(
            f"{status} for more than {USUAL[status] / 60:.0f} minutes, which is unusual. Look into the "
            "functions' logs and the stack's dead-letter queues, or stop waiting with Ctrl-C."
        )

    def outcome(self, job: Mapping[str, Any]) -> None:
        """What a person does next: where the files are, or what is wrong."""
        self.problems(job)
        retry = f"lora-drop retry {job['job_id']}"
        said = " ".join(of_job(each["message"], job["job_id"]) for each in job["problems"])
        if job["status"] in (Status.FAILED, Status.EXPIRED) and retry not in said:
            self.say_whole(f"  to pay for it once more: {retry}")
        if job["duplicate_of"]:
            self.say(f"The same was trained before, as {job['duplicate_of']}: nothing was paid.")
        if job["files"]:
            self.files(job)
            self._trigger(job)
        unread = any(problem["code"] in NEVER_READ for problem in job["problems"])
        if job["parameters"] or (job["status"] == Status.REJECTED and not unread):
            holder, where = report_of(job)
            self.say_whole(f"  report          {where}{REPORT_PAGE}")
            self.say_whole(f"                  lora-drop download {holder} fetches it")

    def budget(self, account: Mapping[str, Any]) -> None:
        """A month's money, and the slots."""
        limits = account["limits"]
        held = account["in_flight"]
        rows = {
            "month": account["month"],
            "spent": f"${account['spent_usd']:,.2f}, of which ${account['wasted_usd']:,.2f} wasted",
            "reserved": f"${account['reserved_usd']:,.2f}",
            "left": f"${account['left_usd']:,.2f} of ${limits['monthly_usd']:,.2f}",
            "one job": f"${limits['job_usd']:,.2f} at the most",
            "at fal": f"{len(held)} of {limits['max_in_flight']}"
            + "".join(f"\n  {id_}" for id_ in held),
        }
        for name, value in rows.items():
            self.say(f"{name:<10}{value}")

    def job(self, job: Mapping[str, Any]) -> None:
        """Everything of one job."""
        rows = {
            "job": job["job_id"],
            "status": coloured(job["status"]),
            "dataset": f"s3://{job['dataset']['bucket']}/{job['dataset']['key']}",
            "reference": job.get("reference"),
            "images": job["images"],
            "trainer": job["application"],
            "request": job["request_id"],
            **progress_rows(job),
            "estimate": f"${job['estimated_cost_usd']:.2f}" if job["estimated_cost_usd"] else None,
            "money": f"${job['charge']['usd']:.2f} {job['charge']['state']}"
            if job["charge"]
            else None,
            "retry of": job["retry_of"],
            "same as": job["duplicate_of"],
            "files in": job["location"],
        }
        for name, value in rows.items():
            if value is not None:
                shown = value if isinstance(value, Text) else str(value)
                self.console.print(Text.assemble(f"{name:<10}", shown), soft_wrap=True)
        self._parameters(job)
        for before, step in pairwise((None, *job["history"])):
            self._step(step, before)
        self.outcome(job)

    def jobs(self, jobs: list[dict[str, Any]], *, all_of_them: bool = True) -> None:
        """A table of jobs; ``all_of_them``: not only those that were asked for."""
        if not jobs:
            none = "No jobs yet. Drop a dataset: lora-drop train PATH"
            self.say(none if all_of_them else "No job fits. All of them: lora-drop jobs")
            return
        for line in table_lines(jobs, self.console.width):
            self.console.print(line, soft_wrap=True)

    def problems(self, job: Mapping[str, Any]) -> None:
        """What is wrong and what to do."""
        problems = [Problem.model_validate(each) for each in job["problems"]]
        for line in problem_lines(problems, PROBLEMS_SHOWN, all_of_them="the report shows all"):
            self.console.print(Text(f"  {of_job(line, job['job_id'])}"))

    def advise(self, problem: Problem) -> None:
        """What is allowed, and yet may not be meant."""
        self.console.print(Text(f"  {problem.message} ({problem.code})", "dim"))

    def files(self, job: Mapping[str, Any]) -> None:
        """Where the files are."""
        for file in sorted(job["files"], key=lambda file: -file["size"]):
            where = f"s3://{file['bucket']}/{file['key']}"
            self.console.print(Text(f"  {where}  {file['size']:,} bytes"), soft_wrap=True)

    def _parameters(self, job: Mapping[str, Any]) -> None:
        sources = job["parameter_sources"] or {}
        found = {
            name: value if name == TRAINER else shown_value(value)
            for name, value in (job["parameters"] or {}).items()
            if value not in (None, "")
        }
        widest = [max(map(len, words), default=0) for words in (found, found.values())]
        for name, value in found.items():
            line = Text(f"  {name:<{widest[0]}}  {value:<{widest[1]}}")
            line.append(f"  {sources.get(name, '')}", "dim")
            line.rstrip()
            self.console.print(line, soft_wrap=True)

    def _accepted(self, job: Mapping[str, Any]) -> None:
        """What a job that has passed its check will cost, and its trigger phrase."""
        if job["estimated_cost_usd"]:
            self.say(f"  estimate        ${job['estimated_cost_usd']:.2f}")
        self._trigger(job)

    def _trigger(self, job: Mapping[str, Any]) -> None:
        """The trigger phrase, which a prompt needs."""
        phrase = (job["parameters"] or {}).get(TRIGGER_PHRASE)
        made = (job["parameter_sources"] or {}).get(TRIGGER_PHRASE) == ParameterSource.GENERATED
        if phrase:
            self.say(f"  trigger phrase  {phrase}{'  (made for this job)' if made else ''}")

    def _step(self, step: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        """One of a job's states, with how long the one before it lasted."""
        line = Text.assemble((local_time(step["at"]), "dim"), "  ", coloured(step["status"]))
        if before:
            waited = (_moment(step["at"]) - _moment(before["at"])).total_seconds()
            line.append(f"  +{max(0.0, waited):.1f} s", "dim")
        self.console.print(line)


def _step_of(event: StatusChanged, job: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step of the job's history that an event is about: a place in a history that shrinks says nothing."""
    for step in job["history"]:
        if step["status"] == event.status and _moment(step["at"]) == event.at:
            return dict(step)
    return {"status": event.status, "at": event.at.isoformat()}


def _far(training: Training) -> dict[str, Any]:
    """How far a training is, for a program."""
    eta = None if training.eta is None else training.eta.total_seconds()
    far = {"step": training.step, "steps": training.steps, "percent": training.percent}
    return {**far, "eta_seconds": eta}


def _facts(job: Mapping[str, Any]) -> Iterator[str]:
    """What a person wants to know of a job while it trains."""
    if job.get("estimated_cost_usd"):
        yield f"about ${job['estimated_cost_usd']:.2f}"
    if phrase := (job.get("parameters") or {}).get(TRIGGER_PHRASE):
        yield f"trigger phrase {phrase}"


def report_of(job: Mapping[str, Any]) -> tuple[str, str]:
    """The job whose folder has this job's report, and that folder.

    A retry has one of its own once it has its LoRA; before that, it is the first job's of its dataset.
    """
    if not job["retry_of"] or job["status"] == Status.SUCCEEDED:
        return job["job_id"], job["location"]
    dataset = job["dataset"]
    first = job_id_for(dataset["bucket"], dataset["key"], dataset["version_id"])
    return first, job["location"].removesuffix(f"{job['job_id']}/") + f"{first}/"


def lora_line(job: Mapping[str, Any]) -> str:
    """``SUCCEEDED <job_id> s3://… sha256:<hex>``; without a LoRA, status and job alone."""
    for file in job["files"]:
        if file["name"] == LORA:
            where = f"s3://{file['bucket']}/{file['key']}"
            return f"{job['status']} {job['job_id']} {where} sha256:{file['sha256']}"
    return f"{job['status']} {job['job_id']}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
