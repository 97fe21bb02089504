"""fal's published keys are read strictly: each key in one writing, and only keys that verify."""

import base64
import json
from typing import Any

import pytest

from lora_drop.fal.webhooks import MAX_KEYS, keys_in
from lora_drop.jobs.errors import InvalidWebhookError
from tests.support.builders import KEY

PUBLIC = bytes(KEY.verify_key)
ANOTHER = bytes([2]) * 32
X = base64.urlsafe_b64encode(PUBLIC).decode()
# The last letter holds four bits of the key, and two that stand for nothing.
SPARE_BIT = chr(ord(X.rstrip("=")[-1]) + 1)


def row(**changes: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": X.rstrip("="), **changes}


def written(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


def jwks(*rows: object) -> bytes:
    return json.dumps({"keys": rows}).encode()


@pytest.mark.parametrize("x", [X, X.rstrip("=")], ids=["padded", "unpadded"])
def test_padding_of_a_key_is_optional(x: str) -> None:
    assert keys_in(jwks(row(x=x))) == (PUBLIC,)


def test_other_members_do_not_matter() -> None:
    said = row(kid="1", use="sig", alg="EdDSA", key_ops=["verify"], x5c=[], ext=True)
    assert keys_in(jwks(said)) == (PUBLIC,)
    assert keys_in(jwks(row(kid=None, use=None, alg=None, key_ops=None))) == (PUBLIC,)


def test_a_repeated_key_takes_one_place() -> None:
    others = [row(x=written(bytes([number]) * 32)) for number in range(2, 18)]
    assert len(keys_in(jwks(*[row(kid=str(n)) for n in range(40)], *others))) == MAX_KEYS
    assert keys_in(jwks(row(kid="a"), row(kid="a"))) == (PUBLIC,)


FIELD = 2**255 - 19
POINTS_OF_ORDER_8 = (
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
)
# Both signs of each, and each in all the ways that 255 bits can write it.
SMALL_ORDER = sorted(
    {
        (y | sign << 255).to_bytes(32, "little")
        for known in (
            *(0, 1, FIELD - 1, FIELD, FIELD + 1),
            *(int.from_bytes(bytes.fromhex(point), "little") for point in POINTS_OF_ORDER_8),
        )
        for y in {known, known % FIELD}
        for sign in (0, 1)
    }
)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("key", SMALL_ORDER, ids=bytes.hex)
def test_a_weak_key_is_none(key: bytes) -> None:
    """A key that would vouch for every message is no key."""
    assert len(SMALL_ORDER) == 14
    assert keys_in(jwks(row(x=written(key)), row())) == (PUBLIC,)


@pytest.mark.parametrize("above", range(19))
def test_a_key_has_one_writing(above: int) -> None:
    key = (FIELD + above).to_bytes(32, "little")
    assert keys_in(jwks(row(x=written(key)))) == ()


UNUSABLE: dict[str, object] = {
    "another type": row(kty="EC"),
    "another curve": row(crv="X25519"),
    "no type": {"crv": "Ed25519", "x": X},
    "no x": {"kty": "OKP", "crv": "Ed25519"},
    "x is a number": row(x=7),
    "x is short": row(x=X[:20]),
    "x is long": row(x=X.rstrip("=") + "A"),
    "x is of the other alphabet": row(x="+/" + X[2:]),
    "x has a line end": row(x=X.rstrip("=") + "\n"),
    "x has much padding": row(x=X.rstrip("=") + "=="),
    "x is not ASCII": row(x="\uff21" + X.rstrip("=")[1:]),
    "x is written in another way": row(x=X.rstrip("=")[:-1] + SPARE_BIT),
    "for encryption": row(use="enc"),
    "for another algorithm": row(alg="ES256"),
    "its algorithm is a list": row(alg=["EdDSA"]),
    "for signing alone": row(key_ops=["sign"]),
    "its operations are a text": row(key_ops="verify"),
    "its private half is known": row(d=X),
    "no object": "Ed25519",
    "null": None,
}


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_key_is_left_out(case: str) -> None:
    """A row that is no usable key is left out, and the others are read."""
    assert keys_in(jwks(UNUSABLE[case], row(x=written(ANOTHER)))) == (ANOTHER,)


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"<html>down for maintenance</html>", b"null", b"[]", b"{}"),
        *(b'{"keys": null}', b'{"keys": 7}', b"\xff\xfe", b"[" * 100_000),
    ],
)
def test_a_document_without_keys_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidWebhookError, match="not a JWKS"):
        keys_in(document)


@pytest.mark.parametrize("document", [b'{"keys": []}', b'{"keys": {}}', b'{"keys": "none"}'])
def test_a_key_set_may_be_empty(document: bytes) -> None:
    assert keys_in(document) == ()


def test_a_bounded_number_of_keys_counts() -> None:
    """More keys than fal will ever have are not tried."""
    rows = [row(x=written(bytes([number]) * 32)) for number in range(2, 42)]
    assert len(keys_in(jwks(*rows))) == MAX_KEYS
