"""What an owner says of a job in a dataset's metadata besides its parameters.

A field that is added here is read, checked before an upload and before it is paid for, and kept with the job,
whichever way the dataset comes in.
"""

from collections.abc import Callable, Mapping
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from urllib.parse import urlsplit

from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

# What is read from the metadata besides parameters: train again, whatever was trained before.
FORCE = "force"
# Whether a proof sheet is made of the LoRA; where nothing is said, the stack's own setting holds.
PROOF = "proof"
# The owner's own name for the job, which is kept and shown, and never sent to fal.
REFERENCE = "reference"
MAX_REFERENCE = 200  # characters
# The owner's own address that the job's changes are sent to; people write it with either dash.
NOTIFY_URL = "notify-url"
NOTIFY_URL_NAMES = (NOTIFY_URL, "notify_url")
MAX_NOTIFY_URL = 500  # characters
# The SHA-256 of the address that the stack has fetched the file from.
FETCHED_FROM = "fetched-from"
# What is ours in the metadata, and no parameter.
OURS = frozenset({FORCE, PROOF, REFERENCE, *NOTIFY_URL_NAMES, FETCHED_FROM})


# Advice about a dataset that lies in a bucket, and has no meaning before it does.
DROPPING = (" and drop the ZIP again", " and drop it again")


def worded(text: str) -> str:
    """Return a text as object metadata, which is ASCII: words of RFC 2047 where it has to be."""
    return text if text.isascii() and "=?" not in text else Header(text, "utf-8").encode("", 0)


def unworded(value: str) -> str:
    """Return what a person wrote, where S3 returns it as words of RFC 2047 (S3 user guide, "User-defined object metadata")."""
    try:
        return str(make_header(decode_header(value))) if "=?" in value else value
    except (ValueError, LookupError, HeaderParseError):
        return value


def metadata_text(value: object) -> str | None:
    """Return a value as the text of object metadata; None for one that is not printable on one line."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return worded(text) if text.isprintable() else None


def said_of_place(problem: Problem, place: str) -> Problem:
    """Return what is wrong with the metadata of a dataset that is still to come, said of ``place``."""
    message = problem.message.replace("the object metadata", place)
    for dropped in DROPPING:
        message = message.replace(dropped, "")
    return problem.model_copy(update={"message": message})


def forced(metadata: Mapping[str, str]) -> bool:
    """Return whether the object's metadata wants a training whatever was trained before.

    Raises DatasetRejectedError for what is neither true nor false.
    """
    return _yes_or_no(metadata, FORCE) or False


def proof_wanted(metadata: Mapping[str, str]) -> bool | None:
    """Return whether the owner wants a proof sheet of the LoRA; None where nothing is said of it.

    Raises DatasetRejectedError for what is neither true nor false.
    """
    return _yes_or_no(metadata, PROOF)


def _yes_or_no(metadata: Mapping[str, str], name: str) -> bool | None:
    if name not in metadata:
        return None
    value = metadata[name].strip().lower()
    if value not in ("true", "false"):
        message = f"{name} in the object metadata is “{value[:60]}”; it takes true or false."
        raise DatasetRejectedError([Problem(code="parameter_invalid_type", message=message)])
    return value == "true"


def reference(metadata: Mapping[str, str]) -> str | None:
    """Return the owner's own reference of the job from the object's metadata, None for none.

    Raises DatasetRejectedError for a text that is too long or not printable on one line.
    """
    text = unworded(metadata.get(REFERENCE, "")).strip()
    if len(text) > MAX_REFERENCE or not text.isprintable():
        message = (
            f"{REFERENCE} in the object metadata has {len(text)} characters; it takes printable text "
            f"of at most {MAX_REFERENCE} on one line. Shorten it and drop the ZIP again."
        )
        raise DatasetRejectedError([Problem(code="parameter_invalid_type", message=message)])
    return text or None


def notify_url(metadata: Mapping[str, str], hosts: AllowedHosts | None = None) -> str | None:
    """Return the address that the job's changes are sent to, None for none.

    ``hosts`` are those that the stack allows; None where that is not known. Raises DatasetRejectedError for an
    address of any other.
    """
    given = (metadata[name] for name in NOTIFY_URL_NAMES if name in metadata)
    text = unworded(next(given, "")).strip()
    if not text:
        return None
    if len(text) > MAX_NOTIFY_URL or not (hosts or _host_of(text)).allow(text):
        message = (
            f"{NOTIFY_URL} in the object metadata is no address that this stack notifies: it takes https:// with a host "
            f"of its NotifyHosts (with the port, if it is not 443), {MAX_NOTIFY_URL} characters at most. Correct or remove it and drop the ZIP again."
        )
        raise DatasetRejectedError([Problem(code="parameter_address_not_allowed", message=message)])
    return text


def _host_of(url: str) -> AllowedHosts:
    """Return the list of this address's own host alone, so that it is checked for its form."""
    try:
        return AllowedHosts([urlsplit(url).netloc])
    except ValueError:
        return AllowedHosts(())


# The fields of a job that come from there.
FIELDS: Mapping[str, Callable[[Mapping[str, str], AllowedHosts | None], str | None]] = {
    "reference": lambda metadata, _: reference(metadata),
    "notify_url": notify_url,
}


def owner_fields(
    metadata: Mapping[str, str], hosts: AllowedHosts | None = None
) -> dict[str, str | None]:
    """Return what the owner says, by the job's fields; raises DatasetRejectedError for what is wrong in any of it.

    ``hosts`` are those that the stack notifies; None where that is not known.
    """
    forced(metadata)
    proof_wanted(metadata)
    return {name: read(metadata, hosts) for name, read in FIELDS.items()}


def kept_owner_fields(metadata: Mapping[str, str], hosts: AllowedHosts) -> dict[str, str | None]:
    """Return the same for a job that is opened before it is checked: None in place of what the check will refuse."""
    kept: dict[str, str | None] = {}
    for name, read in FIELDS.items():
        try:
            kept[name] = read(metadata, hosts)
        except DatasetRejectedError:
            kept[name] = None
    return kept
