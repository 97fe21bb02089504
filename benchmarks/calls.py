"""Topic ``calls``: what one good job asks of AWS and of fal, from its ZIP to its LoRA."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.calls_stack import ENVIRONMENT
from benchmarks.check_archives import MB, photos, write_archive
from benchmarks.figures import Figure, Goal, Topic
from benchmarks.growth import exponent
from benchmarks.peers import environment
from lora_drop.local.stack import SAMPLE

JOBS, STEPS = 20, (1, 5, 20)
SERVICES = ("dynamodb", "s3", "events", "sqs", "secretsmanager")
OWN = ("submit", "webhook", "store")
MOST = 40
HOW = (
    f"{JOBS} jobs one after the other in one process: the real functions, of the sample's ZIP (1.4 MB, 14 photos), with a phrase of "
    "its own each, on moto, which is told S3's checksums of whole objects; fal is answered from memory. Counted is what botocore "
    "sends for submit, webhook and store, from the drop to SUCCEEDED, with fal's balance read for each job, as it is when jobs are "
    "more than a minute apart. No run differs from another: counts have one run. A ZIP of up to 4 MiB is read by one GET; a larger "
    "one costs up to 40 for its structure and one more for every 4 MiB. A LoRA of 5.6 MB goes up by one PUT; one of 90 MB by parts. "
    "What a round of the reconciler finds new of a job comes on top, in rows of its own. A job of a burst makes more: it waits for its turn, and rounds look at it meanwhile."
)
ROUND = (
    "what a round of the reconciler, every five minutes, finds new of a job is written like any change; the rest of a round is the "
    "stack's and no job's"
)
type Phases = Mapping[str, Mapping[str, int]]


def measure() -> Topic:
    """Run 20 jobs, and some with a larger LoRA and dataset."""
    jobs, fal = _run(JOBS, rank=1)
    (*_, large), _ = _run(2, rank=16)
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder, "dataset.zip")
        write_archive(dataset, "jpeg", photos("jpeg"), 50 * MB)
        (*_, usual), _ = _run(2, rank=26, dataset=dataset)
    own = [_own(job) for job in jobs]
    totals = [float(each.total()) for each in own]
    sums = [sum(totals[:number]) for number in STEPS]
    warm = own[-1]
    scans = sum(name.endswith(".Scan") for job in jobs for phase in job.values() for name in phase)
    figures = [
        Figure(
            "calls.job.aws",
            f"AWS calls of job {JOBS}",
            "calls",
            (totals[-1],),
            goal=Goal(most=MOST),
            why=_why(warm) if totals[-1] > MOST else "",
        ),
        *(
            Figure(f"calls.job.{service}", f"of these {service}", "calls", (_of(warm, service),))
            for service in SERVICES[:-1]
        ),
        Figure(
            "calls.job.secrets",
            "calls to Secrets Manager, of a warm function",
            "calls",
            (_of(warm, SERVICES[-1]),),
            goal=Goal(most=0),
        ),
        Figure("calls.job.fal", "requests to fal", "requests", (float(fal[-1]),)),
        Figure("calls.job.second", "AWS calls of job 2", "calls", (totals[1],)),
        Figure(
            "calls.job.constant",
            f"AWS calls of job {JOBS}, to those of job 2",
            "calls",
            (totals[-1],),
            peer="calls.job.second",
            goal=Goal(most=1.0),
        ),
        Figure("calls.job.first", "AWS calls of job 1, with cold functions", "calls", (totals[0],)),
        *(
            Figure(f"calls.jobs.{number}", f"AWS calls of {number} jobs", "calls", (total,))
            for number, total in zip(STEPS, sums, strict=True)
        ),
        Figure(
            "calls.jobs.exponent",
            f"exponent of {', '.join(map(str, STEPS))} jobs",
            "exponent",
            (exponent(dict(zip(STEPS, sums, strict=True))),),
            goal=Goal(most=1.0),
        ),
        Figure(
            "calls.scans",
            "scans, of a table or an index",
            "calls",
            (float(scans),),
            goal=Goal(most=0),
        ),
        _of_larger("large", "a LoRA of 90 MB", large, why="parts: each is a call, of 8 MiB"),
        _of_larger(
            "usual",
            "a dataset of 50 MB and a LoRA of 145 MB",
            usual,
            why="ranges of 4 MiB and parts of 8 MiB: each is a call",
        ),
        *_of_rounds(jobs[-1]),
    ]
    return Topic("calls", "Calls a job", HOW, figures)


def _of_larger(key: str, what: str, job: Phases, *, why: str) -> Figure:
    calls = _own(job)
    says, why = f"AWS calls of job 2 with {what}", f"{why}; {_why(calls)}"
    return Figure(
        f"calls.{key}", says, "calls", (float(calls.total()),), goal=Goal(most=MOST), why=why
    )


def _of_rounds(job: Phases) -> Sequence[Figure]:
    idle = sum(job["idle"].values())
    return (
        Figure(
            "calls.round.idle", "AWS calls of a round without a late job", "calls", (float(idle),)
        ),
        Figure(
            "calls.round.job",
            "and, once for a job, of the round that finds it at work",
            "calls",
            (float(sum(job["round"].values()) - idle),),
            why=ROUND,
        ),
        Figure(
            "calls.round.closing",
            "and of all rounds together for a job that has ended, until it is closed",
            "calls",
            (float(sum(job["afterwards"].values()) - 2 * idle),),
        ),
    )


def _run(jobs: int, *, rank: int, dataset: Path = SAMPLE) -> tuple[list[Phases], list[int]]:
    """Return the calls of each job by phase, and its requests to fal."""
    done = subprocess.run(  # noqa: S603  # this very Python, and a module of ours
        [sys.executable, "-m", "benchmarks.calls_run", str(jobs), str(rank), str(dataset)],
        env=environment(**ENVIRONMENT),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"calls"')]
    return [line["calls"] for line in lines], [line["fal"] for line in lines]


def _own(job: Phases) -> Counter[str]:
    return sum((Counter(job[phase]) for phase in OWN), Counter[str]())


def _of(calls: Counter[str], service: str) -> float:
    return float(sum(number for name, number in calls.items() if name.startswith(f"{service}.")))


def _why(calls: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in calls.most_common())
