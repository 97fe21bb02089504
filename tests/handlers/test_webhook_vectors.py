"""Our published vectors, and those of others, through the real webhook function."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.lambda_environment import House
from tests.support.vectors.container import ANSWERS, Container
from tests.support.vectors.make import FILE, text
from tests.support.vectors.scheme import USUAL

PUBLISHED = json.loads(FILE.read_text())
GROUPS = {group["name"]: group for group in PUBLISHED["groups"]}


def each_of(group: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for test in group["tests"]:
        yield {**PUBLISHED["usual"], **group["usual"], **test}


def test_the_vectors_are_what_their_script_makes() -> None:
    assert FILE.read_text() == text(), "stale; run: python -m tests.support.vectors.make"


def test_there_are_as_many_as_are_promised() -> None:
    sizes = {name: len(group["tests"]) for name, group in GROUPS.items()}
    body = len(USUAL["body"]) * 3 // 4

    assert PUBLISHED["tests"] == sum(sizes.values()) > 200
    assert sizes["headers"] >= 4 * 16
    assert sizes["bit flips"] > 8 * (body - 3)
    assert sizes["key sets"] == 13 * 9
    ids = [test["id"] for group in GROUPS.values() for test in group["tests"]]
    assert ids == list(range(1, PUBLISHED["tests"] + 1))


@pytest.mark.parametrize("group", GROUPS)
def test_every_published_vector_gets_its_verdict(house: House, group: str) -> None:
    container = Container(house, PUBLISHED["documents"])
    wrong = []

    for test in each_of(GROUPS[group]):
        outcome = container.deliver(test)

        if (outcome.status, outcome.code) != ANSWERS[test["verdict"]]:
            wrong.append((test["id"], test["says"], outcome))
        assert outcome.fetches <= 1, test["says"]
        assert _harmless(test, outcome.written), (test["says"], outcome.written)
        house.internet.requests.clear()
    assert wrong == []


def _harmless(test: Mapping[str, Any], written: Any) -> bool:
    """Whether nothing was written that should not have been."""
    if test["verdict"] == "accepted":
        return True
    done = {(call.service, call.operation) for call in written}
    if test["reason"] == "body":  # fal has signed it for this job: it is kept for whoever looks
        return done == {("s3", "PutObject")}
    return done <= ({("lambda", "Invoke")} if test["verdict"] == "stale" else set())
