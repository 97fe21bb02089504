"""Each effect of a scenario: the process dies there, or the call fails; and no effect is missed."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from lora_drop.jobs.artifacts import Artifact
from tests.resilience.faults import crash, functions
from tests.resilience.faults.cloud import on_moto
from tests.resilience.faults.effects import PORTS, Effect, Wired, is_port, wire
from tests.resilience.faults.scenarios import HAPPY, SCENARIOS, Scenario
from tests.support.builders import ARTIFACTS, make_dataset
from tests.support.memory import ManualClock, MemoryDatasets
from tests.support.memory_files import MemoryRange
from tests.support.sweeps import sweep
from tests.support.world import World


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with functions.quietly():
        yield


def broken(*runs: crash.ScenarioRun) -> list[str]:
    return [str(run) for run in runs if run.wrong]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_an_undisturbed_scenario_keeps_all_promises(scenario: Scenario) -> None:
    assert broken(crash.run_scenario(scenario=scenario)) == []


def test_the_scenarios_use_every_port() -> None:
    taken = {
        effect.port
        for scenario in SCENARIOS
        for effect, _ in crash.run_scenario(scenario=scenario).effects
    }

    # What has a double that can more is counted as that; dead letters need five failures, and
    # forgetting has runs of its own (tests/unit/services/test_forget_interrupted.py). To sign a form for an
    # upload, and to compare the trainers, changes nothing.
    others = {
        *("ResultStore", "DeadLetters", "Erasures", "Eraser", "Payloads"),
        *("UploadStore", "PublishedTrainers"),
    }
    assert taken - {"Secret"} == set(PORTS) - others


@pytest.mark.promise("never lose a result")
def test_death_or_failure_at_any_effect() -> None:
    """A worker may die, or a call fail, at any effect: the job ends well, paid once."""
    report = crash.Report()
    crash.every_single(report)
    assert report.singles == 4 * report.effects
    assert report.effects >= 70, "it would prove nothing"
    assert broken(*report.broken) == []


@pytest.mark.parametrize("scenario", sweep(SCENARIOS, sample=4, ids=lambda each: each.name))
def test_death_in_any_scenario(scenario: Scenario) -> None:
    whole = crash.run_scenario(scenario=scenario)
    runs = [
        crash.run_scenario(interruption, scenario=scenario) for interruption, _ in whole.further()
    ]
    assert broken(*runs) == []


@pytest.mark.promise("it can be operated")
def test_only_the_post_needs_a_person() -> None:
    """Only a worker that dies around the POST leaves a question to a person."""
    whole = crash.run_scenario()
    doubtful = [
        crash.run_scenario(crash.Interruption(at, after))
        for at in range(1, len(whole.effects) + 1)
        for after in (False, True)
    ]

    needed = [
        (str(whole.effects[run.interruptions[0].at - 1][0]), run.interruptions[0].after)
        for run in doubtful
        if run.doubted
    ]

    assert [(name.split()[0], bool(after)) for name, after in needed] == [
        ("JobStore.replace", True),
        ("FalClient.submit", False),
    ]


def test_two_deaths_in_one_run() -> None:
    chance = random.Random(1)  # noqa: S311  # to be repeated
    pairs = []
    for first, _ in crash.run_scenario().further():
        seconds = [interruption for interruption, _ in crash.run_scenario(first).further()]
        pairs += [crash.run_scenario(first, second) for second in chance.sample(seconds, 1)]
    assert len(pairs) > 70
    assert broken(*pairs) == []


def test_three_deaths_in_one_run() -> None:
    report = crash.Report()
    crash.some_triples(report, 20, seed=3)
    assert broken(*report.broken) == []


def test_a_broken_run_says_where() -> None:
    never = Scenario("never", HAPPY.prepare, ((7,),))
    run = crash.run_scenario(crash.Interruption(14, after=True), scenario=never)
    assert str(run).startswith(
        "never; killed after 14 (FalClient.submit flux-lora-portrait-trainer"
    )
    assert "paid 1 times, ended as SUCCEEDED" in str(run)


ONE_IN = 96


def test_a_run_calls_every_service() -> None:
    run = crash.run_scenario(on=on_moto)
    assert run.wrong == ()
    assert {effect.port for effect, _ in run.effects} == {
        *("dynamodb", "events", "s3", "sqs", "secretsmanager", "fal")
    }
    assert len(run.effects) > 60


def test_death_or_failure_at_aws_calls() -> None:
    """A worker may die, or a call fail, at AWS's own calls and fal's; all of them: see __main__."""
    calls = len(crash.run_scenario(on=on_moto).effects)
    runs = [
        crash.run_scenario(interruption, on=on_moto)
        for interruption in list(crash.singles(calls))[::ONE_IN]
    ]
    assert [str(run) for run in runs if run.wrong] == []


@dataclass
class Counting:
    seen: list[str] = field(default_factory=list)

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        self.seen.append(f"{effect.port}.{effect.method}")
        return call()


@dataclass
class Streams:
    @contextmanager
    def open(self, artifact: Artifact, **_: Any) -> Iterator[Iterator[bytes]]:
        assert artifact.url
        yield iter([b"one", b"two"])


def test_every_port_of_a_world_is_wired() -> None:
    world, interceptor = World(), Counting()
    before = wire(world, interceptor)
    assert set(before) >= {"jobs", "datasets", "results", "source", "fal", "queue", "keys"}
    assert isinstance(world.jobs, Wired)
    assert world.webhook_secret() == before["webhook_secret"]()
    assert interceptor.seen == ["Secret.webhook_secret"]
    assert isinstance(world.clock, ManualClock), "the time is no effect"


def test_a_returned_port_is_wired() -> None:
    interceptor, datasets = Counting(), MemoryDatasets()
    dataset = datasets.put("ada.zip", b"0123456789")
    found = Wired(datasets, interceptor).open(dataset)
    assert found.archive.read(2, 3) == b"234"
    assert found.archive.size == 10
    assert interceptor.seen == ["DatasetStore.open", "RangedReader.read"]


def test_each_item_of_a_stream_counts() -> None:
    interceptor = Counting()
    with Wired(Streams(), interceptor, name="Stream").open(ARTIFACTS[0]) as chunks:
        assert list(chunks) == [b"one", b"two"]
    assert interceptor.seen == ["Stream.open", "Stream.open.enter", *["Stream.open.enter.next"] * 3]


@pytest.mark.parametrize("value", [None, 1, "text", b"", make_dataset(), ManualClock()])
def test_a_value_is_no_port(value: object) -> None:
    assert not is_port(value)


def test_a_ranged_reader_is_a_port() -> None:
    assert is_port(MemoryRange(b""))
    assert "Clock" not in PORTS
    assert PORTS["Inbox"] == {"announce", "backlog", "finish_proof"}


def test_an_effect_names_its_argument() -> None:
    assert str(Effect("Inbox", "announce", (make_dataset(),))) == "Inbox.announce ada.zip"
    assert str(Effect("JobStore", "get", ("a/b/ada-1",))) == "JobStore.get ada-1"
