"""Topic ``warm``: what the webhook's function costs for an event once it is warm, beside as little as could do."""

import json
import subprocess
import sys

from benchmarks.calls_stack import ENVIRONMENT
from benchmarks.figures import Figure, Goal, Topic
from benchmarks.peers import environment

EVENTS, RUNS = 30, 7
# It logs and counts as it does in the cloud.
TOLD = {"POWERTOOLS_LOG_LEVEL": "INFO", "POWERTOOLS_METRICS_DISABLED": "false"}
HOW = (
    f"CPU of one process for an event, {EVENTS} events a run, {RUNS} runs in turn. Ours is the real function with a job that waits for "
    "its result: 8 calls to AWS. The bare one verifies fal's signature with the same library, parses the JSON, and makes two of the same "
    "calls by boto3 (GetItem of the job, SendMessage). Both speak to one server of this machine, a process of its own that has an "
    "answer for every call, over kept connections: its time is in neither."
)


def measure() -> Topic:
    """Run both in one process."""
    done = subprocess.run(  # noqa: S603  # this very Python, and a module of ours
        [sys.executable, "-m", "benchmarks.warm_run", str(EVENTS), str(RUNS)],
        env=environment(**{**ENVIRONMENT, **TOLD}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    ours, bare, calls = (tuple(found[name]) for name in ("ours", "bare", "calls"))
    figures = (
        Figure("warm.webhook.bare", "bare: Ed25519, JSON, two signed requests", "ms", bare),
        Figure(
            "warm.webhook.ours",
            "ours, with all that is kept, published and handed over",
            "ms",
            ours,
            peer="warm.webhook.bare",
            goal=Goal(most=3.0),
            why=found["why"],
        ),
        Figure(
            "warm.webhook.calls",
            "of it within its calls to AWS",
            "ms",
            calls,
        ),
    )
    return Topic("warm", "Warm handlers", HOW, figures)
