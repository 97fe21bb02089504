import base64
import json
from typing import Any

import pytest

from shared.domain.errors import BadDelivery
from shared.domain.signatures import MAX_KEYS, keys_in
from tests.builders import KEY

PUBLIC = bytes(KEY.verify_key)
X = base64.urlsafe_b64encode(PUBLIC).decode()


def row(**changes: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": X.rstrip("="), **changes}


def jwks(*rows: object) -> bytes:
    return json.dumps({"keys": rows}).encode()


@pytest.mark.parametrize("x", [X, X.rstrip("=")], ids=["padded", "unpadded"])
def test_a_key_is_read_with_and_without_padding(x: str) -> None:
    assert keys_in(jwks(row(x=x))) == (PUBLIC,)


def test_key_ids_and_other_members_do_not_matter() -> None:
    assert keys_in(jwks(row(kid="1", use="sig", alg="EdDSA"))) == (PUBLIC,)


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
    "no object": "Ed25519",
    "null": None,
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_row_that_is_no_usable_key_is_left_out_and_the_others_are_read(case: str) -> None:
    assert keys_in(jwks(UNUSABLE[case], row())) == (PUBLIC,)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>down for maintenance</html>",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": 7}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_document_that_is_no_key_set_is_told_as_such(document: bytes) -> None:
    with pytest.raises(BadDelivery, match="not a JWKS"):
        keys_in(document)


@pytest.mark.parametrize("document", [b'{"keys": []}', b'{"keys": {}}', b'{"keys": "none"}'])
def test_a_key_set_may_be_empty(document: bytes) -> None:
    assert keys_in(document) == ()


def test_more_keys_than_fal_will_ever_have_are_not_tried() -> None:
    rows = [row(x=base64.urlsafe_b64encode(bytes([number]) * 32).decode()) for number in range(40)]

    assert len(keys_in(jwks(*rows))) == MAX_KEYS
