"""``python -m benchmarks [TOPIC …]``: measure, print the tables, and write ``results.json`` and ``RESULTS.md``.

Without a topic all of them are measured, but those that are run by hand. The figures of the other topics stay as they are.
"""

import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Topic

HERE = Path(__file__).parent
RESULTS, TABLES = HERE / "results.json", HERE / "RESULTS.md"
# Each is a module with a function `measure() -> Topic`, or `module:function`, in the order of the tables.
TOPICS: Mapping[str, str] = {
    "copy": "copy",
    "check": "check",
    "cold": "cold",
    "calls": "calls",
    "warm": "warm",
    "list": "lists",
    "burst": "burst",
    "cost": "cost",
    "loop": "loop",
}
# Measured only where they are named: they take longer than all the others.
BY_HAND: Mapping[str, str] = {
    "burst-10000": "burst:measure_ten_thousand",
    "emulator": "burst_emulator",
    "proofs": "proofs",
}
NOTE = (
    "Written by `make bench` from what it measures; [results.json](results.json) has the same figures for programs. "
    "Ours and the peers run in turn on the same bytes; a ratio is of two medians of one run of this machine."
)


def machine() -> Mapping[str, str]:
    """Return what these figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def tables(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of RESULTS.md."""
    yield from ("# What it costs, beside everything else", "", NOTE, "")
    for name, topic in results["topics"].items():
        on = results["machines"][topic["machine"]]
        yield from (f"## {topic['title']}", "", topic["how"], "")
        yield f"`make bench TOPICS={name}`, {topic['seconds']:.0f} s on {topic['date']}: {on['processor']}, {on['cores']} cores."
        yield from ("", "| | median | least to most | runs | ratio | goal | holds |")
        yield "|---|---|---|---|---|---|---|"
        for row in topic["figures"].values():
            yield from _row(row)
        yield ""
        yield from (
            f"- {row['says']}: {row['why']}" for row in topic["figures"].values() if "why" in row
        )
        yield ""


def _row(row: Mapping[str, Any]) -> Iterator[str]:
    ratio = f"{row['ratio']:.3g}" if "ratio" in row else ""
    holds = {True: "yes", False: "**no**", None: ""}[row.get("holds")]
    spread = f"{row['min']:g} to {row['max']:g}" if row["runs"] > 1 else ""
    yield (
        f"| {row['says']} | {row['median']:g} {row['unit']} | {spread} | {row['runs']} | {ratio} "
        f"| {row.get('goal', '')} | {holds} |"
    )


def main(names: list[str]) -> None:
    """Measure these topics; raises SystemExit for a name that is none."""
    known = {**TOPICS, **BY_HAND}
    if unknown := set(names) - set(known):
        sys.exit(f"no topic: {', '.join(sorted(unknown))}. Topics: {', '.join(known)}")
    results = (
        json.loads(RESULTS.read_text()) if RESULTS.exists() else {"machines": [], "topics": {}}
    )
    here = machine()
    if here not in results["machines"]:
        results["machines"].append(here)
    for name in names or TOPICS:
        began = time.monotonic()
        module, _, function = known[name].partition(":")
        measure = getattr(importlib.import_module(f"benchmarks.{module}"), function or "measure")
        topic: Topic = measure()
        seconds = time.monotonic() - began
        measured = topic.as_json(datetime.now(UTC).date().isoformat(), seconds)
        results["topics"][name] = {**measured, "machine": results["machines"].index(here)}
        results["topics"] = {
            each: results["topics"][each] for each in known if each in results["topics"]
        }
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        TABLES.write_text("\n".join(tables(results)).rstrip() + "\n")
        print("\n".join(tables({**results, "topics": {name: results["topics"][name]}})), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
