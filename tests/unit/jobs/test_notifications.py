"""Our webhooks are signed and verified as Standard Webhooks has it, and tried again for three days."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from lora_drop.jobs.errors import InvalidSecretError, InvalidSignatureError
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.notifications import (
    BACKOFF,
    MAX_TRIES,
    Notification,
    key_of,
    pause,
    signed_headers,
)
from lora_drop.jobs.status import Status
from lora_drop.webhooks import unwrap_event
from tests.support.builders import make_job

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SECRET, OTHER = "whsec_" + "a" * 64, "whsec_" + "b" * 64
CHANGE = Notification.of(StatusChange.of(make_job(Status.SUBMITTED), bucket="models"))
BODY = CHANGE.model_dump_json().encode()
GOOD = signed_headers(CHANGE.webhook_id, BODY, keys=[key_of(SECRET)], now=NOW)
SIGNATURE = GOOD["webhook-signature"]
type Headers = dict[str, Any]


def test_signature_is_that_of_the_specification() -> None:
    """As another implementation of it signs the same."""
    theirs = standardwebhooks.Webhook(SECRET).sign(CHANGE.webhook_id, NOW, BODY.decode())
    assert {
        "webhook-id": CHANGE.webhook_id,
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": theirs,
    } == GOOD
    assert "." not in CHANGE.webhook_id


TAKEN: dict[str, tuple[object, Headers, timedelta]] = {
    "as it is": (SECRET, {}, timedelta(0)),
    "five minutes old": (SECRET, {}, timedelta(minutes=5)),
    "five minutes ahead": (SECRET, {}, timedelta(minutes=-5)),
    "without the prefix": (SECRET.removeprefix("whsec_"), {}, timedelta(0)),
    "one of several secrets": ([OTHER, SECRET], {}, timedelta(0)),
    "one of several signatures": (SECRET, {"webhook-signature": f"v1,AAAA v1a,x= {SIGNATURE} v2"}, timedelta(0)),
    "listed headers": (SECRET, {"webhook-signature": [SIGNATURE]}, timedelta(0)),
    "others that are no texts": (SECRET, {"x-none": None, "content-length": 7, "x": [None]}, timedelta(0)),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_signed_notification_is_taken(name: str) -> None:
    secret, changed, age = TAKEN[name]
    given: Any = {key.title(): value for key, value in (GOOD | changed).items()}
    found = unwrap_event(BODY, given, secret=secret, now=NOW + age)  # type: ignore[arg-type]  # of the table
    assert (found.change, found.timestamp) == (CHANGE.data, CHANGE.data.since)


def _signed(body: bytes, webhook_id: str = CHANGE.webhook_id) -> Headers:
    return dict(signed_headers(webhook_id, body, keys=[key_of(SECRET)], now=NOW))


REFUSED: dict[str, tuple[bytes, Headers, timedelta]] = {
    "changed body": (BODY + b" ", GOOD, timedelta(0)),
    "too old": (BODY, GOOD, timedelta(seconds=301)),
    "from the future": (BODY, GOOD, timedelta(seconds=-301)),
    "no id": (BODY, GOOD | {"webhook-id": []}, timedelta(0)),
    "another id": (BODY, GOOD | {"webhook-id": "ada-0000000000-v9"}, timedelta(0)),
    "two ids": (BODY, GOOD | {"webhook-id": [CHANGE.webhook_id] * 2}, timedelta(0)),
    "full stop in the id": (BODY, _signed(BODY, "a.b"), timedelta(0)),
    "signed for another change": (BODY, _signed(BODY, "ada-0000000000-v9"), timedelta(0)),
    "other digits": (BODY, GOOD | {"webhook-timestamp": "١٧٩٥"}, timedelta(0)),
    "a time with a fraction": (BODY, GOOD | {"webhook-timestamp": "1795953600.5"}, timedelta(0)),
    "no signature": (BODY, GOOD | {"webhook-signature": []}, timedelta(0)),
    "bare signature": (BODY, GOOD | {"webhook-signature": SIGNATURE[3:]}, timedelta(0)),
    "asymmetric alone": (BODY, GOOD | {"webhook-signature": "v1a" + SIGNATURE[2:]}, timedelta(0)),
    "cut signature": (BODY, GOOD | {"webhook-signature": SIGNATURE[:-2]}, timedelta(0)),
    "None in an id's place": (BODY, GOOD | {"webhook-id": None}, timedelta(0)),
    "a number as time": (BODY, GOOD | {"webhook-timestamp": int(NOW.timestamp())}, timedelta(0)),
    "None beside a signature": (
        BODY,
        GOOD | {"webhook-signature": [None, SIGNATURE]},
        timedelta(0),
    ),
    "no JSON": (b"x", _signed(b"x"), timedelta(0)),
    "of another type": (b"{}", _signed(b"{}"), timedelta(0)),
}


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("name", REFUSED)
def test_any_other_is_refused(name: str) -> None:
    """What is not signed by the stack, for this change and now, is refused."""
    body, headers, age = REFUSED[name]
    with pytest.raises(InvalidSignatureError):
        unwrap_event(body, headers, secret=SECRET, now=NOW + age)


@pytest.mark.parametrize("size", [24, 48, 64])
def test_secret_of_24_to_64_bytes_is_one(size: int) -> None:
    text = base64.b64encode(b"k" * size).decode()
    assert key_of("whsec_" + text) == key_of(text.rstrip("=")) == b"k" * size


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_…", "whsec_" + "a" * 31, "a" * 100, "whsec_" + "!" * 40]
)
def test_other_secret_is_refused_unseen(secret: str) -> None:
    with pytest.raises(
        InvalidSecretError, match=r"24 to 64 bytes.*lora-drop notify-secret"
    ) as raised:
        unwrap_event(BODY, GOOD, secret=secret, now=NOW)
    assert isinstance(raised.value, ValueError)
    assert not secret or secret not in str(raised.value).replace("whsec_ followed", "")


def test_two_secrets_sign_while_one_is_changed() -> None:
    """A receiver that has either of them takes it."""
    headers = signed_headers(CHANGE.webhook_id, BODY, keys=[key_of(OTHER), key_of(SECRET)], now=NOW)
    for secret in (SECRET, OTHER):
        assert unwrap_event(BODY, headers, secret=secret, now=NOW).webhook_id == CHANGE.webhook_id


def test_tries_last_three_days() -> None:
    longest = [pause(tries, chance=lambda: 0.0) for tries in range(1, MAX_TRIES)]
    assert longest[: len(BACKOFF)] == list(BACKOFF)
    assert (
        timedelta(days=2) < sum(map(timedelta, [0] * 14, longest), timedelta()) < timedelta(days=3)
    )
    assert pause(3, chance=lambda: 1.0) == 240  # a fifth less
    assert pause(1, chance=lambda: 0.0, asked=120) == 120
    assert pause(1, chance=lambda: 0.0, asked=10**7) == BACKOFF[-1]


def test_documented_receiver_answers(root: Path) -> None:
    """The program in docs/events.md takes each change once, and answers 401 to what is not signed."""
    text = (root / "docs" / "events.md").read_text()
    program = text.split("```python\n", 1)[1].split("```", 1)[0]
    names: dict[str, Any] = {}
    exec(program.replace("whsec_…", SECRET), names)  # noqa: S102  # it is our own
    headers = signed_headers(CHANGE.webhook_id, BODY, keys=[key_of(SECRET)], now=datetime.now(UTC))
    assert [names["job_changed"](BODY, headers) for _ in range(2)] == [204, 204]
    assert names["newest"] == {CHANGE.data.job_id: CHANGE.data.version}
    assert names["job_changed"](BODY + b" ", headers) == 401
