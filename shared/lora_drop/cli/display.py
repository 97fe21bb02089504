"""What a person sees in the terminal: lines, bars, one job, many jobs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.text import Text

from lora_drop.cli.job_table import coloured, lora_words, step_line, table_lines
from lora_drop.cli.progress import progress_rows
from lora_drop.cli.reports import problem_lines
from lora_drop.cli.wrapping import write_beside
from lora_drop.client.proof_words import (
    SheetProgress,
    is_open,
    ordered_cost_words,
    proof_cost_words,
)
from lora_drop.client.report_page import has_report, report_of
from lora_drop.datasets.reports.markup import shown as shown_value
from lora_drop.fal.trainers.parameters import TRAINER, ParameterSource
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.job_files import REPORT_PAGE, of_job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import PROOF_FOLDER, PROOF_PAGE, ProofSheet
from lora_drop.jobs.status import Status

if TYPE_CHECKING:  # it imports the AWS client, which a local check does not need
    from lora_drop.client.stack_client import Progress as Sending

type Watch = Callable[[Mapping[str, Any]], None]
PROBLEMS_SHOWN = 10  # names of those with one code
EARLIER_SHOWN = 3  # LoRAs of the same dataset; lora-drop history has all


class Display:
    """One console; what is written for programs does not go through here.

    ``progress`` is called with each step, for a program that wants to follow.
    """

    def __init__(self, console: Console, progress: Watch | None = None) -> None:
        self.console = console
        self.progress = progress or (lambda _: None)

    def say(self, line: str) -> None:
        """Write a line: on a terminal it is wrapped at spaces, in a file or a pipe it stays one."""
        for each in line.split("\n"):
            words = each.lstrip(" ")
            write_beside(self.console, Text(words), each[: len(each) - len(words)])

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
        self.progress({"step": name, "seconds": round(seconds, 1)})

    def upload(self, name: str) -> AbstractContextManager["Sending"]:
        """A progress bar for an upload, from its first bytes on: it may be refused before them."""
        return self.transfer(f"upload {name}")

    @contextmanager
    def transfer(self, name: str) -> Iterator["Sending"]:
        """A progress bar for what is sent or fetched, from its first bytes on."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        bar = Progress(*columns, console=self.console)
        task = bar.add_task(name, total=None)

        def show(sent: int, size: int) -> None:
            bar.start()  # does nothing when it has started
            bar.update(task, completed=sent, total=size)
            self.progress({"step": name.partition(" ")[0], "sent": sent, "size": size})

        try:
            yield show
        finally:
            if bar.live.is_started:
                bar.stop()

    def outcome(self, job: Mapping[str, Any]) -> None:
        """What a person does next: where the files are, or what is wrong."""
        self.problems(job)
        retry = f"lora-drop retry {job['job_id']}"
        said = " ".join(of_job(each["message"], job["job_id"]) for each in job["problems"])
        if job["status"] in (Status.FAILED, Status.EXPIRED) and retry not in said:
            self.say(f"  to pay for it once more: {retry}")
        if job["duplicate_of"]:
            self.say(f"The same was trained before, as {job['duplicate_of']}: nothing was paid.")
        if job["files"]:
            self.files(job)
            self._trigger(job)
        if has_report(job):
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

    def job(
        self, job: Mapping[str, Any], *, sheet: SheetProgress | None = None, simulated: str = ""
    ) -> None:
        """Everything of one job; ``sheet`` is how far its proof sheet is, ``simulated`` that no LoRA makes its pictures."""
        rows = {
            "job": job["job_id"],
            "status": coloured(job["status"]),
            "dataset": f"s3://{job['dataset']['bucket']}/{job['dataset']['key']}",
            "reference": job.get("reference"),
            "images": job["images"],
            "trainer": job["application"],
            "request": job["request_id"],
            **progress_rows(job),
            "estimate": _estimate(job),
            "money": _money(job),
            "retry of": job["retry_of"],
            "same as": job["duplicate_of"],
            "LoRA": lora_words(job),
            "earlier": ", ".join(job.get("earlier", ())[:EARLIER_SHOWN]) or None,
            "files in": job["location"],
        }
        for name, value in rows.items():
            if value is not None:
                shown = value if isinstance(value, Text) else str(value)
                self.console.print(Text.assemble(f"{name:<10}", shown), soft_wrap=True)
        self._parameters(job)
        for before, step in pairwise((None, *job["history"])):
            self.console.print(step_line(step, before))
        self.outcome(job)
        self._proof(job, sheet or SheetProgress(), simulated)

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
            self.say(f"  {of_job(line, job['job_id'])}")

    def advise(self, problem: Problem) -> None:
        """What is allowed, and yet may not be meant."""
        write_beside(self.console, Text(f"{problem.message} ({problem.code})", "dim"), "  ")

    def files(self, job: Mapping[str, Any]) -> None:
        """Where the files are."""
        for file in sorted(job["files"], key=lambda file: -file["size"]):
            where = f"s3://{file['bucket']}/{file['key']}"
            self.console.print(Text(f"  {where}  {file['size']:,} bytes"), soft_wrap=True)

    def proof_under_way(self, job: Mapping[str, Any]) -> None:
        """Below a training that has succeeded: how its proof sheet is seen, or why there is none."""
        if is_open(job):
            again = f"lora-drop job {job['job_id']}"
            self.say(f"The pictures of the proof sheet are being made: {again} shows them")
        elif note := (job.get("proof") or {}).get("note"):
            self.say(_note(job, note))

    def _proof(self, job: Mapping[str, Any], progress: SheetProgress, simulated: str) -> None:
        """The proof sheet: how far it is, then where it is and how much its pictures look like the photos."""
        sheet = ProofSheet.model_validate(job.get("proof") or {})
        if sheet.note:
            self.say(_note(job, sheet.note))
        if is_open(job):
            self.say(f"  proof sheet     {progress.words(len(sheet.pictures))}")
            for each in progress.held:
                self.say(f"  {each['job_id']} is {each['status']}: the proof sheet waits for it")
                self.problems(each)
        if simulated and sheet.pictures:
            self.say(simulated)
        if sheet.done_at is None or sheet.note or not sheet.pictures:
            return
        where = f"{job['location']}{PROOF_FOLDER}/{PROOF_PAGE}"
        self.say_whole(f"  proof sheet     {where}")
        if sheet.likeness and sheet.likeness.words:
            self.say(f"Looks like the photos: {sheet.likeness.words}.")
        if sheet.likeness and sheet.likeness.advice:
            self.say(sheet.likeness.advice)

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

    def accepted(self, job: Mapping[str, Any]) -> None:
        """What a job that has passed its check will cost, and its trigger phrase."""
        if job["estimated_cost_usd"]:
            self.say(f"  estimate        {_estimate(job)}")
        self._trigger(job)

    def _trigger(self, job: Mapping[str, Any]) -> None:
        """The trigger phrase, which a prompt needs."""
        phrase = (job["parameters"] or {}).get(TRIGGER_PHRASE)
        made = (job["parameter_sources"] or {}).get(TRIGGER_PHRASE) == ParameterSource.GENERATED
        if phrase:
            self.say(f"  trigger phrase  {phrase}{'  (made for this job)' if made else ''}")


def _estimate(job: Mapping[str, Any]) -> str | None:
    """What the training is expected to cost, and a proof sheet that is ordered; None where it is not known."""
    if not job["estimated_cost_usd"]:
        return None
    parts = (f"${job['estimated_cost_usd']:.2f}", ordered_cost_words(job))
    return ", ".join(filter(None, parts))


def _money(job: Mapping[str, Any]) -> str | None:
    """What the training takes of the budget, and what the pictures of its proof sheet do; None for nothing."""
    charge = job["charge"]
    parts = (f"${charge['usd']:.2f} {charge['state']}" if charge else "", proof_cost_words(job))
    return ", ".join(filter(None, parts)).removeprefix("and ") or None


def _note(job: Mapping[str, Any], note: str) -> str:
    """Why a job has no proof sheet of its own; one of a duplicate is the earlier job's."""
    return f"{'Proof sheet' if job['duplicate_of'] else 'No proof sheet'}: {note}"
