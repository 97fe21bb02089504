"""Our published vectors, Wycheproof's and those of RFC 8032, through the real webhook function.

The last two sign messages that are no deliveries, so there one thing is put in place of the function's own:
what it takes for the signed message. Key set, headers, signature and answer are as they always are.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from lora_drop.fal.webhooks import SignedHeaders
from tests.support.lambda_environment import LambdaEnvironment
from tests.support.vectors.container import ANSWERS, Container, Outcome
from tests.support.vectors.deliveries import RFC_8032
from tests.support.vectors.make import FILE, text
from tests.support.vectors.scheme import SIGNATURE, USUAL, jwk, replaced

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


@pytest.fixture(scope="module")
def wycheproof(corpora: Path) -> list[dict[str, Any]]:
    """Wycheproof's groups, each with its key as a JWK."""
    found = json.loads((corpora / "crypto" / "wycheproof_ed25519.json").read_text())
    listed: list[dict[str, Any]] = found["testGroups"]
    return listed


@whole_or_sample
def test_wycheproof_vectors_get_their_verdict(
    environment: LambdaEnvironment,
    wycheproof: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    every: int,
) -> None:
    keys = [json.dumps({"keys": [each["publicKeyJwk"]]}) for each in wycheproof]
    container = Container(environment, {f"{n}": key for n, key in enumerate(keys)})
    verdicts: dict[int, tuple[int, int]] = {}

    for number, group in enumerate(wycheproof):
        for test in group["tests"][::every]:
            message = bytes.fromhex(test["msg"])
            monkeypatch.setattr(SignedHeaders, "message", lambda _, __, signed=message: signed)
            outcome = container.deliver(
                {
                    **USUAL,
                    "endpoint": {"status": 200, "document": f"{number}"},
                    "headers": replaced(USUAL["headers"], SIGNATURE, test["sig"]),
                }
            )
            expected = 200 if test["result"] == "valid" else 401
            verdicts[test["tcId"]] = (outcome.status, expected)
            assert expected == 200 or outcome.written == []

    valid = sum(expected == 200 for _, expected in verdicts.values())
    assert (len(verdicts), valid) == (151, 88) or every > 1
    assert {case: found for case, found in verdicts.items() if found[0] != found[1]} == {}


# RFC 8032, 7.1, TEST SHA(abc): the one that Wycheproof does not have.
SHA_ABC = {
    "key": "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "message": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "signature": "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
    "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
}


def test_wycheproof_has_rfc_8032_keys(wycheproof: list[dict[str, Any]]) -> None:
    # Its keys sign real deliveries in our own vectors ("RFC 8032 keys"), with nothing replaced.
    known = {base64.urlsafe_b64decode(group["publicKeyJwk"]["x"] + "=") for group in wycheproof}
    keys = {bytes(SigningKey(bytes.fromhex(secret)).verify_key) for secret in RFC_8032.values()}
    assert len(keys) == 5
    assert keys - known == {bytes.fromhex(SHA_ABC["key"])}


def test_rfc_8032_sha_abc_vector(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = bytes.fromhex(SHA_ABC["message"])
    rows = {"keys": [jwk(bytes.fromhex(SHA_ABC["key"]))]}
    container = Container(environment, {"it": json.dumps(rows)})
    monkeypatch.setattr(SignedHeaders, "message", lambda _, __: message)
    served = {**USUAL, "endpoint": {"status": 200, "document": "it"}}
    good = SHA_ABC["signature"]

    statuses = [
        container.deliver({**served, "headers": replaced(USUAL["headers"], SIGNATURE, each)}).status
        for each in (good, good[:-2] + "05", f"00{good[2:]}")
    ]

    assert statuses == [200, 401, 401]
