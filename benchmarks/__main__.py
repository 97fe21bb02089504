"""``python -m benchmarks [TOPIC …]``: measure, print the tables, and write ``results.json`` and ``RESULTS.md``.

Without a topic all of them are measured, but those that are run by hand. The figures of the other topics stay as they are.
"""

import importlib
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Topic
from lora_drop.dev.figures import with_unit

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
    "large": "large",
    "burst-10000": "burst:measure_ten_thousand",
    "emulator": "burst_emulator",
    "loop-cold": "loop:measure_cold",
    "proofs": "proofs",
}
NOTE = (
    "Written by `make bench` from what it measures; [results.json](results.json) has the same figures for programs. "
    "Ours and the peers run in turn on the same bytes. *Ratio*: a median by another one of the same run; where there is one, the *goal* is of it, and of the median where there is none. "
    "*n^0.16*: how it grows with the n that the row names, jobs or bytes; n^0 is no growth, and n^1 growth in proportion. "
    "The topics were measured one after the other, and the speed of this machine moves by up to two times within an hour: compare seconds within a table, and ratios anywhere."
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
    yield from ("# Time, memory, calls and dollars, beside what else there is", "", NOTE, "")
    titles = [topic["title"] for topic in results["topics"].values()]
    yield from (" · ".join(f"[{each}](#{_anchor(each)})" for each in titles), "")
    yield from (*_summary(results["topics"].values()), "")
    for name, topic in results["topics"].items():
        on = results["machines"][topic["machine"]]
        command = f"python -m benchmarks {name}" if name in BY_HAND else f"make bench TOPICS={name}"
        yield from (f"## {topic['title']}", "", topic["how"], "")
        yield f"`{command}`, {topic['seconds']:.0f} s on {topic['date']}: {on['processor']}, {on['cores']} cores."
        yield from ("", "| | median | least to most | runs | ratio | goal | holds |")
        yield "|---|---|---|---|---|---|---|"
        for row in topic["figures"].values():
            yield from _row(row, topic["figures"])
        yield ""
        yield from (
            f"- {row['says']}: {row['why']}" for row in topic["figures"].values() if "why" in row
        )
        yield ""


def _anchor(title: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def as_page(results: Mapping[str, Any]) -> str:
    """Return RESULTS.md."""
    return "\n".join(tables(results)).rstrip() + "\n"


def _summary(topics: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Say how many goals hold, and name those that do not."""
    rows = [(topic, row) for topic in topics for row in topic["figures"].values() if "goal" in row]
    missed = [(topic, row) for topic, row in rows if not row["holds"]]
    held = len(rows) - len(missed)
    more = ". Below its table each of the others has where the time goes:" if missed else "."
    yield from (f"{held} of {len(rows)} goals hold{more}", "")
    for topic, row in missed:
        ratio, median = row.get("ratio"), with_unit(row["median"], row["unit"])
        found = f"{ratio:.3g} times" if ratio else median
        yield f"- {topic['title']}, {row['says']}: {found}, goal {row['goal']}"


def _row(row: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    head, _, tail = figures[row["peer"]]["says"].rpartition(": ") if "peer" in row else ("",) * 3
    peer = head if head and row["says"].endswith(f": {tail}") else tail
    ratio = f"{row['ratio']:.3g} times {peer}" if peer else ""
    holds = {True: "yes", False: "**no**", None: ""}[row.get("holds")]
    spread = f"{row['min']:g} to {row['max']:g}" if row["runs"] > 1 else ""
    median = with_unit(row["median"], row["unit"])
    yield (
        f"| {row['says']} | {median} | {spread} | {row['runs']} | {ratio} "
        f"| {row.get('goal', '')} | {holds} |"
    )


def main(names: list[str]) -> None:
    """Measure these topics; raises SystemExit for a name that is none.

    ``--tables`` alone: print what RESULTS.md has to be, and measure nothing.
    """
    if names == ["--tables"]:
        sys.stdout.write(as_page(json.loads(RESULTS.read_text())))
        return
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
        TABLES.write_text(as_page(results))
        print("\n".join(tables({**results, "topics": {name: results["topics"][name]}})), flush=True)
    print(
        "Written: benchmarks/results.json and RESULTS.md, and by make the pages with figures. `git checkout benchmarks docs README.md` puts back what was there."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
