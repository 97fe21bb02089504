"""A webhook delivery is believed only with a signature by one of fal's keys."""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from lora_drop.adapters.signing_keys import verify_signature
from lora_drop.fal.webhooks import MAX_BODY, WebhookDelivery, signed_headers, verify
from lora_drop.jobs.errors import InvalidWebhookError
from tests.support.builders import KEY, NOW, REQUEST_ID, USER_ID, signed, webhook_body

BODY = webhook_body()
OUR_KEYS = [bytes(KEY.verify_key)]
STRANGER = SigningKey(bytes(32))
NAMES = [
    *("X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp"),
    "X-Fal-Webhook-Signature",
]


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


def test_a_delivery_of_fals_is_believed() -> None:
    assert verified(signed(BODY)) == WebhookDelivery(REQUEST_ID, USER_ID, NOW, BODY)


@pytest.mark.promise("interfaces stay")
def test_the_signed_text_is_fals() -> None:
    """The signed text is the one that fal documents."""
    headers = signed(BODY)
    message = signed_headers(headers).message(BODY)
    digest = hashlib.sha256(BODY).hexdigest()
    assert message == f"{REQUEST_ID}\n{USER_ID}\n{int(NOW.timestamp())}\n{digest}".encode()


def test_any_of_fals_keys_may_sign() -> None:
    keys = [bytes(STRANGER.verify_key), *OUR_KEYS]
    assert verified(signed(BODY), keys=keys).request_id == REQUEST_ID


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


def test_header_names_have_any_case() -> None:
    headers = {name.lower(): values for name, values in signed(BODY).items()}
    assert verified(headers).request_id == REQUEST_ID


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_header_is_refused(name: str) -> None:
    headers = {other: values for other, values in signed(BODY).items() if other != name}
    with pytest.raises(InvalidWebhookError, match="0 times"):
        signed_headers(headers)


@pytest.mark.parametrize("name", NAMES)
def test_a_header_given_twice_is_refused(name: str) -> None:
    headers = signed(BODY)
    one = headers[name]

    with pytest.raises(InvalidWebhookError, match="2 times"):
        signed_headers({**headers, name: one * 2})
    with pytest.raises(InvalidWebhookError, match="2 times"):
        signed_headers({**headers, name.lower(): one})
    with pytest.raises(InvalidWebhookError, match="malformed"):
        signed_headers({**headers, name: [f"{one[0]},{one[0]}"]})


# What int(), fromhex() and strip() would take, and what moves the borders between fields.
MANGLED: dict[str, Callable[[str], str]] = {
    "nothing": lambda value: "",  # noqa: ARG005
    "a space before": lambda value: f" {value}",
    "a space after": lambda value: f"{value} ",
    "a tab": lambda value: f"{value}\t",
    "a line end": lambda value: f"{value}\n",
    "a return": lambda value: f"{value}\r\n",
    "a null": lambda value: f"{value}\x00",
    "a plus": lambda value: f"+{value}",
    "a fullwidth digit": lambda value: f"\uff11{value[1:]}",
    "an arabic digit": lambda value: f"{value[:-1]}\u0663",
    "quotes": lambda value: f'"{value}"',
    "far too long": lambda value: value * 300,
    "a line end inside": lambda value: f"{value[:1]}\n{value[1:]}",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", MANGLED)
def test_a_mangled_header_is_refused(name: str, how: str) -> None:
    headers = signed(BODY)
    with pytest.raises(InvalidWebhookError, match="malformed"):
        signed_headers({**headers, name: [MANGLED[how](headers[name][0])]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (NAMES[2], "0x6748a3c0"),
        (NAMES[2], "1_764_00000"),
        (NAMES[2], "176400000"),
        (NAMES[2], "17640000000"),
        (NAMES[2], "-764000000"),
        (NAMES[3], "AB" * 64),
        (NAMES[3], "ab" * 63),
        (NAMES[3], "ab" * 63 + "a"),
        (NAMES[3], "ab" * 65),
        (NAMES[3], "zz" * 64),
        (NAMES[3], "ab " * 42 + "ab"),
        (NAMES[0], "../../x"),
    ],
)
def test_numbers_and_hex_have_one_writing(name: str, value: str) -> None:
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


# Points of order 1, 2, 4 and 8: with such a "key" one signature holds for any message.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_weak_point_vouches_for_nothing(point: str) -> None:
    key = bytes.fromhex(point)
    signature = bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    assert not verify_signature(key, b"any message", signature)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    assert not verify_signature(bytes(length), b"message", bytes(64))
