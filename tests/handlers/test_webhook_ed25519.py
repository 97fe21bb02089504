"""Vectors of Ed25519 alone, through the real webhook function.

Their messages are no deliveries, so one thing is put in place of the function's own: what it takes
for the signed message. Key set, headers, signature and answer are as they always are.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from lora_drop.fal.webhooks import SignedHeaders
from tests.support.lambda_environment import House
from tests.support.vectors.container import Container
from tests.support.vectors.deliveries import RFC_8032
from tests.support.vectors.scheme import SIGNATURE, USUAL, jwk, replaced


@pytest.fixture(scope="module")
def groups(corpora: Path) -> list[dict[str, Any]]:
    """Wycheproof's, each with its key as a JWK."""
    found = json.loads((corpora / "crypto" / "wycheproof_ed25519.json").read_text())
    listed: list[dict[str, Any]] = found["testGroups"]
    return listed


def test_every_ed25519_vector_of_others_gets_its_verdict(
    house: House, groups: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {f"{n}": json.dumps({"keys": [each["publicKeyJwk"]]}) for n, each in enumerate(groups)}
    container = Container(house, keys)
    verdicts: dict[int, tuple[int, int]] = {}

    for number, group in enumerate(groups):
        for test in group["tests"]:
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

    assert len(verdicts) == 151
    assert sum(expected == 200 for _, expected in verdicts.values()) == 88
    assert {case: found for case, found in verdicts.items() if found[0] != found[1]} == {}


def test_the_vectors_of_rfc_8032_are_among_them(groups: list[dict[str, Any]]) -> None:
    # Its keys sign real deliveries in our own vectors ("RFC 8032 keys"), with nothing replaced.

    known = {base64.urlsafe_b64decode(group["publicKeyJwk"]["x"] + "=") for group in groups}
    keys = {bytes(SigningKey(bytes.fromhex(secret)).verify_key) for secret in RFC_8032.values()}

    assert len(keys) == 5
    assert keys - known == {bytes.fromhex(SHA_ABC["key"])}


# RFC 8032, 7.1, TEST SHA(abc): the one that Wycheproof does not have.
SHA_ABC = {
    "key": "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "message": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "signature": "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
    "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
}


def test_the_last_vector_of_rfc_8032_gets_its_verdict(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = bytes.fromhex(SHA_ABC["message"])
    rows = {"keys": [jwk(bytes.fromhex(SHA_ABC["key"]))]}
    container = Container(house, {"it": json.dumps(rows)})
    monkeypatch.setattr(SignedHeaders, "message", lambda _, __: message)
    served = {**USUAL, "endpoint": {"status": 200, "document": "it"}}
    good = SHA_ABC["signature"]

    statuses = [
        container.deliver({**served, "headers": replaced(USUAL["headers"], SIGNATURE, each)}).status
        for each in (good, good[:-2] + "05", f"00{good[2:]}")
    ]

    assert statuses == [200, 401, 401]
