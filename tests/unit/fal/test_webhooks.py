"""A webhook is believed only with a signature by one of fal's keys, which are read strictly."""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from lora_drop.adapters.signing_keys import verify_signature
from lora_drop.fal.webhooks import (
    MAX_BODY,
    MAX_KEYS,
    WebhookDelivery,
    keys_in,
    signed_headers,
    verify,
)
from lora_drop.jobs.errors import InvalidWebhookError
from tests.support.builders import KEY, NOW, REQUEST_ID, USER_ID, signed, webhook_body

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


@pytest.mark.parametrize(
    "said",
    [
        *(row(), row(x=X), row(kid=None, use=None, alg=None, key_ops=None)),
        row(kid="1", use="sig", alg="EdDSA", key_ops=["verify"], x5c=[], ext=True),
    ],
)
def test_padding_and_other_members_are_optional(said: dict[str, Any]) -> None:
    assert keys_in(jwks(said)) == (PUBLIC,)


def test_a_repeated_key_takes_one_place() -> None:
    """The same key twice takes the place of no other, and a bounded number of keys is tried."""
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


BODY = webhook_body()
OUR_KEYS = [bytes(KEY.verify_key)]
STRANGER = SigningKey(bytes(32))
NAMES = [f"X-Fal-Webhook-{name}" for name in ("Request-Id", "User-Id", "Timestamp", "Signature")]


def verified(
    headers: dict[str, list[str]],
    body: bytes = BODY,
    *,
    keys: Sequence[bytes] = OUR_KEYS,
    now: datetime = NOW,
) -> WebhookDelivery:
    return verify(
        signed_headers(headers), body, keys=keys, verify_signature=verify_signature, now=now
    )


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        (signed(BODY), OUR_KEYS),
        (signed(BODY), [bytes(STRANGER.verify_key), *OUR_KEYS]),
        ({name.lower(): values for name, values in signed(BODY).items()}, OUR_KEYS),
    ],
    ids=["ours", "one of several keys", "small letters"],
)
def test_a_delivery_of_fals_is_believed(headers: dict[str, list[str]], keys: list[bytes]) -> None:
    assert verified(headers, keys=keys) == WebhookDelivery(REQUEST_ID, USER_ID, NOW, BODY)


@pytest.mark.promise("interfaces stay")
def test_the_signed_text_is_fals() -> None:
    """The signed text is the one that fal documents."""
    headers = signed(BODY)
    message = signed_headers(headers).message(BODY)
    digest = hashlib.sha256(BODY).hexdigest()
    assert message == f"{REQUEST_ID}\n{USER_ID}\n{int(NOW.timestamp())}\n{digest}".encode()


@pytest.mark.promise("nothing leaks")
def test_a_strangers_key_is_refused() -> None:
    """A delivery that another key has signed is refused."""
    with pytest.raises(InvalidWebhookError, match="no key"):
        verified(signed(BODY, key=STRANGER))
    with pytest.raises(InvalidWebhookError):
        verified(signed(BODY), keys=[])


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_a_signature_holds_for_five_minutes(seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert verified(signed(BODY, at=at)).sent_at == at


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("seconds", [-3600, -301, -300.001, 301, 3600])
def test_old_and_future_signatures_are_refused(seconds: float) -> None:
    """A delivery cannot be replayed after five minutes."""
    with pytest.raises(InvalidWebhookError, match="seconds old"):
        verified(signed(BODY), now=NOW - timedelta(seconds=seconds))


FLIPPED = [BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :] for at in range(len(BODY))]
REWRITTEN = json.dumps(json.loads(BODY), separators=(",", ":")).encode()


@pytest.mark.promise("nothing leaks")
def test_only_the_exact_bytes_are_believed() -> None:
    """A body that differs in one bit from the signed one is refused."""
    headers = signed(BODY)
    for other in (*FLIPPED, b"", BODY[:-1], BODY + b"\n", b"\xef\xbb\xbf" + BODY, REWRITTEN):
        assert other != BODY
        with pytest.raises(InvalidWebhookError):
            verified(headers, other)


@pytest.mark.parametrize("name", NAMES[:3])
def test_no_signed_header_can_change(name: str) -> None:
    """A signed header cannot be changed, and no letter moves from one into the next."""
    other = {NAMES[0]: "other", NAMES[1]: "other", NAMES[2]: str(int(NOW.timestamp()) + 1)}
    moved = signed(BODY, request_id="ab", user_id="cd") | {NAMES[0]: ["a"], NAMES[1]: ["bcd"]}
    with pytest.raises(InvalidWebhookError, match="no key"):
        verified({**signed(BODY), name: [other[name]]})
    with pytest.raises(InvalidWebhookError):
        verified(moved)


def test_a_huge_body_is_refused() -> None:
    """A body that no result needs is refused unread; the largest that may be is read."""
    large, huge = bytes(MAX_BODY), bytes(MAX_BODY + 1)
    assert verified(signed(large), large).body == large
    with pytest.raises(InvalidWebhookError, match="bytes"):
        verified(signed(huge), huge)


@pytest.mark.parametrize("name", NAMES)
def test_a_header_is_given_once(name: str) -> None:
    headers = signed(BODY)
    one = headers.pop(name)
    for given in ({}, {name: one * 2}, {name: one, name.lower(): one}):
        with pytest.raises(InvalidWebhookError, match=f"{2 if given else 0} times"):
            signed_headers({**headers, **given})


# What int(), fromhex() and strip() would take, and what moves the borders between fields.
MALFORMED = [
    *(
        (name, wrong)
        for name, [value] in signed(BODY).items()
        for wrong in [
            *("", f" {value}", f"{value} ", f"{value}\t", f"{value}\n", f"{value}\r\n"),
            *(f"{value}\x00", f"+{value}", f"\uff11{value[1:]}", f"{value[:-1]}\u0663"),
            *(f'"{value}"', value * 300, f"{value[:1]}\n{value[1:]}", f"{value},{value}"),
        ]
    ),
    *((NAMES[2], time) for time in ("0x6748a3c0", "1_764_00000", "176400000")),
    *((NAMES[2], time) for time in ("17640000000", "-764000000")),
    *((NAMES[3], text) for text in ("ab" * 63, "ab" * 63 + "a", "ab" * 65)),
    *((NAMES[3], text) for text in ("zz" * 64, "ab " * 42 + "ab")),
    (NAMES[0], "../../x"),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidWebhookError, match="malformed"):
        signed_headers({**signed(BODY), name: [value]})


@pytest.mark.promise("nothing leaks")
def test_ed25519_vectors_get_their_verdict(corpora: Path) -> None:
    """Every published Ed25519 vector gets its verdict."""
    vectors = json.loads((corpora / "crypto" / "wycheproof_ed25519.json").read_text())
    verdicts = {
        test["tcId"]: (
            verify_signature(
                bytes.fromhex(group["publicKey"]["pk"]),
                bytes.fromhex(test["msg"]),
                bytes.fromhex(test["sig"]),
            ),
            test["result"] == "valid",
        )
        for group in vectors["testGroups"]
        for test in group["tests"]
    }

    assert len(verdicts) == 151
    assert [case for case, (ours, theirs) in verdicts.items() if ours is not theirs] == []


@pytest.mark.parametrize("key", [*SMALL_ORDER, b"", bytes(31), bytes(33)], ids=bytes.hex)
def test_a_weak_key_vouches_for_nothing(key: bytes) -> None:
    signature = (1).to_bytes(32, "little") + bytes(32)
    assert not verify_signature(key, b"any message", signature)
