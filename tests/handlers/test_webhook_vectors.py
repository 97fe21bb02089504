"""Our published vectors, Wycheproof's and those of RFC 8032, through the real webhook function.

The last two sign messages that are no deliveries, so there one thing is put in place of the function's own:
what it takes for the signed message. Key set, headers, signature and answer are as they always are.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.lambda_environment import LambdaEnvironment
from tests.support.vectors.container import ANSWERS, Container, Outcome
from tests.support.vectors.make import FILE, text
from tests.support.vectors.scheme import USUAL

PUBLISHED = json.loads(FILE.read_text())
GROUPS = {group["name"]: group for group in PUBLISHED["groups"]}
# The fast suite runs every seventh vector of each long group.
whole_or_sample = pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.proof)])


@pytest.mark.promise("interfaces stay")
def test_vectors_match_their_script() -> None:
    """The published webhook vectors are what their script makes, and none of them is lost."""
    assert FILE.read_text() == text(), "stale; run: python -m tests.support.vectors.make"
    sizes = {name: len(group["tests"]) for name, group in GROUPS.items()}
    body = len(USUAL["body"]) * 3 // 4
    assert PUBLISHED["tests"] == sum(sizes.values()) > 200
    assert sizes["headers"] >= 4 * 16
    assert sizes["bit flips"] > 8 * (body - 3)
    assert sizes["key sets"] == 13 * 9
    ids = [test["id"] for group in GROUPS.values() for test in group["tests"]]
    assert ids == list(range(1, PUBLISHED["tests"] + 1))


def vectors(group: Mapping[str, Any], every: int) -> Iterator[dict[str, Any]]:
    for test in group["tests"][::every]:
        yield {**PUBLISHED["usual"], **group["usual"], **test}


@pytest.mark.promise("nothing leaks")
@whole_or_sample
@pytest.mark.parametrize("group", GROUPS)
def test_vector_gets_its_verdict(environment: LambdaEnvironment, group: str, every: int) -> None:
    """A delivery that fal did not sign for this account, just now, changes nothing, whatever its form."""
    container = Container(environment, PUBLISHED["documents"])
    wrong = []

    for test in vectors(GROUPS[group], every if len(GROUPS[group]["tests"]) > 20 else 1):
        outcome = container.deliver(test)

        if (outcome.status, outcome.code) != ANSWERS[test["verdict"]]:
            wrong.append((test["id"], test["says"], outcome))
        assert outcome.fetches <= 1, test["says"]
        assert _harmless(test, outcome), (test["says"], outcome.written)
        environment.internet.requests.clear()
    assert wrong == []


def _harmless(test: Mapping[str, Any], outcome: Outcome) -> bool:
    """Whether nothing was written that should not have been."""
    if test["verdict"] == "accepted":
        return True
    done = {(call.service, call.operation) for call in outcome.written}
    if test["reason"] == "body":  # fal has signed it for this job: it is kept for a person to read
        return done == {("s3", "PutObject")}
    return done <= ({("lambda", "Invoke")} if test["verdict"] == "stale" else set())
