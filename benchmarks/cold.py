"""Cold start of each function, beside a bare handler with the same clients, and the size of its artifact."""

import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from benchmarks.cold_aws import empty_aws
from benchmarks.cold_events import BESIDE_CLIENTS, FUNCTIONS, VARIABLES, Function
from benchmarks.figures import Figure, Goal, Topic
from benchmarks.runtime import Started, bridge_address, built, first_answer, what_is_missing
from lora_drop.local.tools import ROOT

RUNS, RATIO = 5, 1.25
MB = 1_000_000
MEMORY = 512  # of a function for which the template says nothing else
# MB of an artifact's files, a tenth more than they are, and half of it as a ZIP; Lambda unpacks 250.
MOST: Mapping[str, float] = {
    "Submit": 220,
    "Webhook": 44,
    "Store": 54,
    "Reconcile": 40,
    "Jobs": 40,
    "Forget": 36,
    "Notify": 36,
    "Fetch": 50,
}
HOW = (
    "Each artifact is built as `sam build` builds it and started in Lambda's image of Python 3.13 under the runtime interface emulator, with the memory "
    "of template.yaml and one CPU (Lambda says of its own only that 1,769 MB have one, and gives a function that starts more than its share). A run is a new container: from when the emulator waits for an event to the first answer. AWS is a server on this machine that "
    "holds nothing, so an event is answered from what is not there: each function reads its settings, builds its services and makes signed requests. "
    "The bare handler lies beside the same artifact: the same libraries, one client of each of its services, Powertools' Logger, Metrics and what "
    "resolves its kind of event, and one signed request. Of two functions boto3's clients alone as well. In turn, two functions at a time."
)
WHY = (
    "boto3, Pydantic and Powertools are two thirds of it on both sides; of the rest most are our own modules, which are made of dataclasses and models "
    "(a class is 0.3 to 1 ms), and the services that are built before the first request."
)


def measure() -> Topic:
    """Return the figures of all functions; sizes alone where no container can be started."""
    missing = what_is_missing()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        layer = folder / "layer"
        layer.mkdir()
        artifacts = {each.name: built(each.name, folder / each.name) for each in FUNCTIONS}
        for each in FUNCTIONS:
            (layer / f"bare_{each.name.lower()}.py").write_text(each.bare)
            (layer / f"clients_{each.name.lower()}.py").write_text(each.clients_alone)
        sizes = [figure for each in FUNCTIONS for figure in _sizes(each, artifacts[each.name])]
        starts = [] if missing else list(_starts(artifacts, layer))
    how = f"{HOW} Starts are left out: {missing}." if missing else HOW
    return Topic("cold", "Cold start and size of the functions", how, (*starts, *sizes))


def _starts(artifacts: Mapping[str, Path], layer: Path) -> Iterator[Figure]:
    memory = _memory()
    with empty_aws(bridge_address()) as aws:

        def runs_of(function: Function) -> Mapping[str, list[Started]]:
            name = function.name.lower()
            handlers = {"bare": f"bare_{name}.handler", "ours": f"functions.{name}.handler.handler"}
            if function.name in BESIDE_CLIENTS:
                handlers["clients"] = f"clients_{name}.handler"
            runs: Mapping[str, list[Started]] = {which: [] for which in handlers}
            for _ in range(RUNS):
                for which, handler in handlers.items():
                    started = first_answer(
                        artifacts[function.name],
                        handler,
                        function.first_event,
                        memory=memory[function.name],
                        cpus=1.0,
                        variables={**VARIABLES, "AWS_ENDPOINT_URL": aws},
                        beside=layer,
                    )
                    if "errorType" in started.answer:
                        raise RuntimeError(f"{handler} failed: {started.answer}")
                    runs[which].append(started)
            return runs

        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            names = [each.name for each in FUNCTIONS]
            found = dict(zip(names, pool.map(runs_of, FUNCTIONS), strict=True))
    for name, runs in found.items():
        yield from _figures(name, runs, memory[name])


def _figures(name: str, runs: Mapping[str, Sequence[Started]], memory: int) -> Iterator[Figure]:
    key, said = f"cold.{name.lower()}", f"{name}, {memory} MB"
    ours = Figure(
        f"{key}.ours.seconds",
        f"{said}: start and first answer",
        "s",
        tuple(each.seconds for each in runs["ours"]),
        peer=f"{key}.bare.seconds",
        goal=Goal(most=RATIO),
    )
    bare = Figure(
        f"{key}.bare.seconds",
        f"{said}: bare handler",
        "s",
        tuple(each.seconds for each in runs["bare"]),
    )
    yield ours if ours.median <= RATIO * bare.median else _explained(ours)
    yield bare
    if "clients" in runs:
        alone = tuple(each.seconds for each in runs["clients"])
        clients = f"{key}.clients.seconds"
        yield Figure(clients, f"{said}: boto3's clients alone", "s", alone)
        says = f"{said}: start and first answer, once more"
        yield Figure(f"{key}.ours.by_clients", says, "s", ours.runs, peer=clients)
    yield Figure(
        f"{key}.init.seconds",
        f"{said}: of it until the handler is imported",
        "s",
        tuple(each.init for each in runs["ours"]),
    )


def _explained(figure: Figure) -> Figure:
    return Figure(
        figure.key, figure.says, figure.unit, figure.runs, figure.peer, figure.goal, why=WHY
    )


def _sizes(function: Function, artifact: Path) -> Iterator[Figure]:
    key, most = f"cold.{function.name.lower()}", MOST[function.name]
    files = [file for file in artifact.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / MB
    yield Figure(
        f"{key}.files", f"{function.name}: artifact, unpacked", "MB", (size,), goal=Goal(most=most)
    )
    with tempfile.TemporaryFile() as target:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for file in files:
                archive.write(file, file.relative_to(artifact))
        zipped = target.seek(0, 2) / MB
    yield Figure(
        f"{key}.zipped",
        f"{function.name}: artifact, zipped",
        "MB",
        (zipped,),
        goal=Goal(most=most / 2),
    )


def _memory() -> Mapping[str, int]:
    """Return the memory of each function, as template.yaml has it."""

    class Loader(yaml.SafeLoader):
        """Passes over the template's own tags."""

    Loader.add_multi_constructor("!", lambda *_: None)
    resources = yaml.load((ROOT / "template.yaml").read_text(), Loader)["Resources"]  # noqa: S506  # a SafeLoader
    return {
        each.name: resources[f"{each.name}Function"]["Properties"].get("MemorySize", MEMORY)
        for each in FUNCTIONS
    }
