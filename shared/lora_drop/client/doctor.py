"""What is missing on this machine and in a stack, each with what to do; it reads, pays nothing and changes nothing."""

import os
import platform
import shutil
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

import httpx

from lora_drop.client.config_file import PLACE, config_path, configured
from lora_drop.client.errors import CommandError
from lora_drop.fal.hosts import API_URL, KEYS_PAGE
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.local.inputs import FORM
from lora_drop.local.tools import NEEDS_EXTRA, MissingExtraError, require_extra

NEEDED = (3, 12)
MOST_APART = 60.0  # seconds between two clocks; AWS refuses five minutes, fal's webhooks as well
TIMEOUT = httpx.Timeout(10.0)
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
CERTIFI = "See that no proxy stands between, or name its certificate: export SSL_CERT_FILE=FILE"
SET_CLOCK = "Set this machine's clock by the network: sudo timedatectl set-ntp true"


class Outcome(StrEnum):
    """How one look came out; only an error makes the command exit 1."""

    OK = "ok"
    NOTE = "note"  # nothing is wrong, and it may be good to know
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look has found; ``fix`` says what to do, where something is to be done."""

    area: str
    name: str
    outcome: Outcome
    says: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class FalPlace:
    """Where fal's platform API is, and the certificate authority of a fal on this machine."""

    url: str
    ca_file: str = ""


def machine() -> Iterator[Finding]:
    """Look at this machine: Python, what is installed, and the user's defaults."""
    area = "this machine"
    version, good = platform.python_version(), sys.version_info[:2] >= NEEDED
    yield Finding(
        area,
        "Python",
        Outcome.OK if good else Outcome.ERROR,
        f"Python {version}.",
        None if good else "lora-drop needs Python 3.12 or newer: uv python install 3.13",
    )
    try:
        require_extra()
        yield Finding(area, "extra “local”", Outcome.OK, "up, demo and deploy can run.")
    except MissingExtraError:
        says = "up, demo, fal-sim and deploy cannot run; all else can."
        yield Finding(area, "extra “local”", Outcome.NOTE, says, NEEDS_EXTRA.partition(". ")[2])
    if shutil.which("docker"):
        yield Finding(area, "Docker", Outcome.OK, "sam local can run functions in containers.")
    else:
        says = "Docker is not installed. Only sam local needs it."
        yield Finding(area, "Docker", Outcome.NOTE, says)
    yield _config()


def _config() -> Finding:
    area, name = "this machine", "defaults"
    try:
        found = configured()
    except CommandError as wrong:
        return Finding(area, name, Outcome.ERROR, str(wrong), f"Correct or delete {config_path()}")
    said = ", ".join(f"{key} {value}" for key, value in found.items())
    where = os.environ.get(PLACE) or config_path()
    return Finding(area, name, Outcome.OK, f"{said} ({where})." if said else "none are set.")


def direct_mode() -> Iterator[Finding]:
    """Look at training with a key alone: whether FAL_KEY is there, and whether fal knows it."""
    area, key = "direct mode", os.environ.get("FAL_KEY", "")
    fix = f"To train without a stack: export FAL_KEY=ID:SECRET ({KEYS_PAGE})"
    if not key.strip():
        yield Finding(area, "FAL_KEY", Outcome.NOTE, "FAL_KEY is not set.", fix)
        return
    if not FORM.fullmatch(key.strip()):
        says = "FAL_KEY is not of the form ID:SECRET."
        yield Finding(area, "FAL_KEY", Outcome.ERROR, says, f"Copy the key from {KEYS_PAGE}")
        return
    fal = FalPlace(os.environ.get("FAL_API_URL") or API_URL, os.environ.get("SSL_CERT_FILE", ""))
    yield from fal_key(
        area, key, DEFAULT.application, fal, f"Put a valid key into FAL_KEY ({KEYS_PAGE})"
    )


def fal_key(area: str, key: str, application: str, fal: FalPlace, fix: str) -> Iterator[Finding]:
    """Ask fal for a price with this key, which is free (fal, "Platform APIs": ``GET /models/pricing``)."""
    try:
        verify = ssl.create_default_context(cafile=fal.ca_file) if fal.ca_file else True
        answer = httpx.get(
            f"{fal.url.rstrip('/')}/models/pricing",
            params={"endpoint_id": application},
            headers={"Authorization": f"Key {key.strip()}"},
            timeout=TIMEOUT,
            verify=verify,
        )
    except (httpx.HTTPError, OSError) as error:
        yield Finding(area, "fal", Outcome.ERROR, *_unanswered(error, fal))
        return
    yield _of_key(area, answer, application, fix)
    if (date := answer.headers.get("date")) and not fal.ca_file:
        yield clock(area, "fal's clock", date)


def _unanswered(error: Exception, fal: FalPlace) -> tuple[str, str]:
    """Say why fal could not be asked, and what to do: the certificates of this machine may be missing.

    httpx reads those of SSL_CERT_FILE or SSL_CERT_DIR (HTTPX, "Environment Variables").
    """
    name = next((each for each in CERTIFICATES if os.environ.get(each)), None)
    again = f"Name certificates that are there, or: unset {name}" if name else CERTIFI
    named = f"{name} ({os.environ[name]})" if name else fal.ca_file or "this machine"
    if isinstance(error, OSError):
        return f"The certificates of {named} cannot be read: {error}.", again
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"fal's certificate is not one that {named} trusts: {error}.", again
    says = f"fal does not answer ({type(error).__name__})."
    return says, "See that this machine is online; https://status.fal.ai"


def _of_key(area: str, answer: httpx.Response, application: str, fix: str) -> Finding:
    status = answer.status_code
    if status == HTTPStatus.UNAUTHORIZED:
        return Finding(area, "fal key", Outcome.ERROR, "fal does not know the key (401).", fix)
    if status == HTTPStatus.FORBIDDEN:
        says = "fal refuses the key, or the account is locked (403)."
        fix = f"Look at the balance (https://fal.ai/dashboard/billing) and the key ({KEYS_PAGE})"
        return Finding(area, "fal key", Outcome.ERROR, says, fix)
    if answer.is_success:
        return Finding(area, "fal key", Outcome.OK, "fal knows the key.")
    if status == HTTPStatus.NOT_FOUND:
        return Finding(
            area, "fal key", Outcome.WARNING, f"fal names no price of {application} (404)."
        )
    says = f"fal answered {status} to a free question."
    return Finding(
        area, "fal", Outcome.WARNING, says, "Ask again in a few minutes: lora-drop doctor"
    )


def clock(area: str, name: str, date: str) -> Finding:
    """Compare this machine's clock with the ``Date`` of an answer (RFC 9110, 6.6.1)."""
    try:
        apart = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return Finding(area, name, Outcome.NOTE, "the answer names no time that can be read.")
    if abs(apart) <= MOST_APART:
        return Finding(area, name, Outcome.OK, "this machine's clock agrees with it.")
    says = f"this machine's clock is {abs(apart):,.0f} s {'ahead' if apart > 0 else 'behind'}: signatures are refused."
    return Finding(area, name, Outcome.ERROR, says, SET_CLOCK)
