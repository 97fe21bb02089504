"""Deliveries against one good key set: headers, bodies, time, and whose they are."""

import json
from collections.abc import Callable, Mapping

from nacl.signing import SigningKey

from tests.support.vectors.scheme import (
    BODY,
    NOW,
    REQUEST,
    REQUEST_ID,
    SIGNATURE,
    TIME,
    USER,
    USER_ID,
    USUAL,
    Group,
    body_of,
    headers_of,
    jwk,
    replaced,
    signing_key,
    written,
)

HEADERS = (REQUEST, USER, TIME, SIGNATURE)
GOOD = USUAL["headers"]
# What int(), strip(), fromhex() and a decoder would let pass, and what moves the fields' borders.
MUTATIONS: Mapping[str, Callable[[str], list[str]]] = {
    "missing": lambda _: [],
    "empty": lambda _: [""],
    "twice": lambda value: [value, value],
    "twice in one, with a comma": lambda value: [f"{value},{value}"],
    "a space before": lambda value: [f" {value}"],
    "a space after": lambda value: [f"{value} "],
    "a tab after": lambda value: [f"{value}\t"],
    "a line end after": lambda value: [f"{value}\n"],
    "a return and a line end after": lambda value: [f"{value}\r\n"],
    "a line end inside": lambda value: [f"{value[:4]}\n{value[4:]}"],
    "a null after": lambda value: [f"{value}\x00"],
    "a plus before": lambda value: [f"+{value}"],
    "a fullwidth digit": lambda value: [f"\uff11{value[1:]}"],
    "an Arabic digit": lambda value: [f"{value[:-1]}\u0663"],
    "in quotes": lambda value: [f'"{value}"'],
    "9 KB": lambda value: [(value * 9216)[:9216]],
}
# What is of a header's form and yet not what was signed, or of another's form.
OTHERS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    REQUEST: (
        ("another request", "019d9e0b-6eb0-7920-8000-000000000000", "signature"),
        ("in upper case", REQUEST_ID.upper(), "signature"),
        ("an underscore more", f"{REQUEST_ID}_", "signature"),
        ("a path", f"../{REQUEST_ID}", "header"),
        ("129 letters", "a" * 129, "header"),
    ),
    USER: (
        ("in upper case", USER_ID.upper(), "signature"),
        ("an underscore more", f"{USER_ID}_", "signature"),
        ("129 letters", "a" * 129, "header"),
    ),
    TIME: (
        ("a second later", str(NOW + 1), "signature"),
        ("an underscore inside", f"{str(NOW)[:3]}_{str(NOW)[3:]}", "header"),
        ("in hex", hex(NOW), "header"),
        ("with a fraction", f"{NOW}.0", "header"),
        ("in milliseconds", f"{NOW}000", "header"),
        ("with an exponent", "1.7955216e9", "header"),
        ("negative", f"-{NOW}", "header"),
        ("nine digits", str(NOW)[:9], "header"),
    ),
    SIGNATURE: (
        ("0x before", "0x" + dict(GOOD)[SIGNATURE], "header"),
        ("an odd number of digits", dict(GOOD)[SIGNATURE][:-1], "header"),
        ("a byte more", dict(GOOD)[SIGNATURE] + "00", "header"),
        ("no hex", "zz" * 64, "header"),
        ("all zeros", "00" * 64, "signature"),
        # S + L: the same equation, and RFC 8032 (5.1.7) refuses it.
        ("S and the group's order added", "", "signature"),
    ),
}
ORDER = 2**252 + 27742317777372353535851937790883648493


def accepted() -> Group:
    group = Group("accepted", "What fal sends, and what may differ in it.")
    group.accept("as fal sends it")
    group.accept("header names in lower case", headers=[[key.lower(), v] for key, v in GOOD])
    group.accept("header names in upper case", headers=[[key.upper(), v] for key, v in GOOD])
    group.accept("headers in another order", headers=GOOD[::-1])
    upper = [[key, v.upper() if key == SIGNATURE else v] for key, v in GOOD]
    group.accept("a signature in upper case", headers=upper)
    others = [["Content-Type", "application/json"], ["X-Fal-Webhook-Other", "1"]]
    group.accept("other headers as well", headers=[*GOOD, *others])
    group.accept("no user is pinned", user_id="")
    for says, body in {
        "a failure": body_of(error="Invalid status code: 422", status="ERROR"),
        "another gateway's id": body_of(gateway_request_id="another"),
        "a number beyond 64 bits": body_of(payload={"seed": 17454220438242315174}),
        "text in any script": json.dumps(json.loads(body_of(error="\u00e9\u2615"))).encode(),
        "UTF-8 as it is": json.dumps(
            json.loads(body_of(error="\u00e9\u2615")), ensure_ascii=False
        ).encode(),
        "a payload that could not be written": body_of(payload_error="not serializable"),
    }.items():
        group.accept(says, headers=headers_of(body), body=written(body))
    for letters in ("a", "a" * 128, "A_b-9"):
        body = body_of(letters)
        headers = headers_of(body, request_id=letters)
        group.accept(f"a request id of {len(letters)}", headers=headers, body=written(body))
    return group


# RFC 8032, 7.1: the secret keys of its five Ed25519 tests.
RFC_8032 = {
    "TEST 1": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "TEST 2": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "TEST 3": "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "TEST 1024": "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
    "TEST SHA(abc)": "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
}


def known_keys() -> Group:
    group = Group("RFC 8032 keys", "Signed with the five keys of RFC 8032, 7.1.")
    for name, secret in RFC_8032.items():
        key = SigningKey(bytes.fromhex(secret))
        document = json.dumps({"keys": [jwk(bytes(key.verify_key))]})
        served = {"status": 200, "body": written(document.encode())}
        group.accept(name, endpoint=served, headers=headers_of(BODY, key=key))
        group.refuse(f"{name}, and another key's signature", "signature", endpoint=served)
    return group


def mutated_headers() -> Group:
    says = "Each of the four headers in ways that lenient readers take for the same."
    group = Group("headers", says)
    for name in HEADERS:
        for how, mutate in MUTATIONS.items():
            headers = replaced(GOOD, name, *mutate(dict(GOOD)[name]))
            group.refuse(f"{name}: {how}", "header", headers=headers)
        again = [*GOOD, [name.lower(), dict(GOOD)[name]]]
        group.refuse(f"{name}: once more in lower case", "header", headers=again)
        for how, value, reason in OTHERS[name]:
            headers = replaced(GOOD, name, value or _beyond_the_order(dict(GOOD)[name]))
            group.refuse(f"{name}: {how}", reason, headers=headers)
    return group


def _beyond_the_order(signature: str) -> str:
    raw = bytes.fromhex(signature)
    s = int.from_bytes(raw[32:], "little") + ORDER
    return (raw[:32] + s.to_bytes(32, "little")).hex()


def signed_as_they_stand() -> Group:
    """A reader that takes a header for less than it is would find these well signed."""
    says = "Headers that are not of their form, and that fal's key has signed just so."
    group = Group("malformed and signed", says)
    for name, parameter in ((REQUEST, "request_id"), (USER, "user_id"), (TIME, "timestamp")):
        for how, mutate in MUTATIONS.items():
            values = mutate(dict(GOOD)[name])
            if len(values) == 1:
                headers = headers_of(BODY, **{parameter: values[0]})  # type: ignore[arg-type]  # one of the three
                group.refuse(f"{name}: {how}", "header", headers=headers, user_id="")
    moved = replaced(replaced(GOOD, REQUEST, f"{REQUEST_ID}\n{USER_ID}"), USER, str(NOW))
    group.refuse("the fields moved by one", "header", headers=moved, user_id="")
    return group


def bodies() -> list[Group]:
    flips = Group("bit flips", "Every bit of a body flipped, one at a time.")
    for at in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[at // 8] ^= 1 << at % 8
        flips.refuse(f"bit {at}", "signature", body=written(bytes(flipped)))
    cut = Group("truncations", "A body and a signature that end anywhere before their end.")
    for length in range(len(BODY)):
        cut.refuse(f"{length} bytes of the body", "signature", body=written(BODY[:length]))
    signature = dict(GOOD)[SIGNATURE]
    for length in range(0, 128, 2):
        headers = replaced(GOOD, SIGNATURE, signature[:length])
        cut.refuse(f"{length} digits of the signature", "header", headers=headers)
    return [flips, cut, _rewritten(), _no_webhooks()]


def _rewritten() -> Group:
    group = Group("rewritten bodies", "The same to a reader of JSON, and other bytes.")
    value = json.loads(BODY)
    backwards = dict(reversed(value.items()))
    for says, body in {
        "without spaces": json.dumps(value, separators=(",", ":")).encode(),
        "indented": json.dumps(value, indent=2).encode(),
        "in another order": json.dumps(backwards).encode(),
        "a line end after": BODY + b"\n",
        "a space before": b" " + BODY,
        "a null after": BODY + b"\x00",
        "a byte order mark before": b"\xef\xbb\xbf" + BODY,
        "in UTF-16": BODY.decode().encode("utf-16"),
        "escaped": BODY.replace(b"OK", b"\\u004fK"),
        "a key twice": BODY.replace(b'"status"', b'"status": "OK", "status"'),
        "another status": BODY.replace(b"OK", b"ok"),
        "in base64": written(BODY).encode(),
        "twice": BODY + BODY,
    }.items():
        group.refuse(says, "signature", body=written(body))
    return group


def _no_webhooks() -> Group:
    group = Group("bodies that are none", "Well signed, and still an answer of 4xx, never of 5xx.")
    for says, body in {
        "nothing": b"",
        "text": b"OK",
        "half of it": BODY[:40],
        "a list": b"[]",
        "null": b"null",
        "a number": b"7",
        "not UTF-8": b"\xff\xfe",
        "half a pair": b'{"request_id": "\\ud800", "status": "OK"}',
        "no request": b'{"status": "OK"}',
        "a number for a request": b'{"request_id": 7, "status": "OK"}',
        "a long number": b'{"request_id": ' + b"9" * 5000 + b"}",
        "deep": b"[" * 2000,
        "a status of the queue": body_of(status="COMPLETED"),
        "a status in lower case": body_of(status="ok"),
        "another request than the header's": body_of("another"),
    }.items():
        group.refuse(says, "body", headers=headers_of(body), body=written(body))
    return group


def times() -> Group:
    group = Group("time", "300 seconds either way, both ends included, and not a second more.")
    for age in sorted({*range(-3600, 3601, 240), 0, *(299, 300, 301), *(-299, -300, -301), 86_400}):
        headers = headers_of(BODY, timestamp=NOW - age)
        says = f"{age} seconds old"
        if abs(age) <= 300:
            group.accept(says, headers=headers)
        else:
            group.add(says, "stale", "time", headers=headers)
    old = NOW - 3600
    unsigned = headers_of(BODY, timestamp=old, key=signing_key("stranger"))
    group.refuse("an hour old and not fal's", "signature", headers=unsigned)
    foreign = headers_of(BODY, timestamp=old, user_id="user_2")
    group.refuse("an hour old and another user's", "user", headers=foreign)
    return group


def users() -> Group:
    group = Group("whose", "fal's keys are the same for all its customers.")
    for user in ("user_2", USER_ID[:-1], USER_ID + "0", USER_ID.upper(), "0"):
        headers = headers_of(BODY, user_id=user)
        group.refuse(f"signed for {user}", "user", headers=headers)
        group.accept(f"signed for {user}, and no user is pinned", headers=headers, user_id="")
    stranger = headers_of(BODY, key=signing_key("stranger"))
    group.refuse("signed by a key that is not published", "signature", headers=stranger)
    return group


def groups() -> list[Group]:
    """All of them."""
    return [
        accepted(),
        known_keys(),
        mutated_headers(),
        signed_as_they_stand(),
        *bodies(),
        times(),
        users(),
    ]
