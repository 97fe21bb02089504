"""What files in a ZIP are called: decoded, and held against each other. No name is ever a path here."""

import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from lora_drop.datasets.archives.records import UTF8, Extra, Member, problem, refusal
from lora_drop.datasets.code_pages import label_of
from lora_drop.datasets.problem_codes import MAKE_AGAIN
from lora_drop.jobs.problems import Problem

MAX_NAME = 1024  # characters; file systems take 255 for a file and 4,096 for a path
MAX_MARKS = 30
ICON = "icon\r"  # what macOS calls the picture of a folder
# What steers a terminal or ends a line, and what turns the reading direction of all that follows (Unicode
# UAX 9: embeddings, overrides and isolates): a file called “anna\u202egpj.exe” is shown as “annaexe.jpg”.
CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini", ICON})
ARCHIVE_SUFFIXES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
PATH_VERSION = 1
PATH_HEAD = 5  # version and CRC-32 before the name


def decoded(raw: bytes, flags: int, extra: Extra, page: str = "") -> str:
    """Return what a person calls the file; raises DatasetRejectedError.

    The Unicode path field (4.6.9) wins where its CRC-32 is that of the plain name, then flag 11
    (UTF-8). Without either it is the ``page`` that was guessed, or else code page 437 (appendix D), unless it happens to be UTF-8: macOS
    writes that and sets no flag. A flag that lies is refused even beside a path: Python's zipfile
    does not open such an archive.
    """
    path = unicode_path(raw, extra)
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        if flags & UTF8:
            raise _misencoded(plain_name(raw)) from error
        name = raw.decode(page) if page else plain_name(raw)
    return name if path is None else path


def says_nothing(raw: bytes, flags: int, extra: Extra) -> bool:
    """Return whether nothing says in which code page the name is written."""
    if flags & UTF8 or extra.paths:
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return True
    return False


def plain_name(raw: bytes) -> str:
    """Return the bytes decoded as code page 437, which takes any bytes."""
    return raw.decode("cp437")


def unicode_path(raw: bytes, extra: Extra) -> str | None:
    """Return the name in the Unicode path field; one for another name, or an empty one, is passed over."""
    paths = set()
    for content in extra.paths:
        if len(content) < PATH_HEAD:
            message = f"What the ZIP says of {plain_name(raw)} is cut short. {MAKE_AGAIN}"
            raise refusal("archive_extra_field", message, plain_name(raw))
        named = int.from_bytes(content[1:PATH_HEAD], "little")
        if content[0] == PATH_VERSION and named == zlib.crc32(raw) and content[PATH_HEAD:]:
            paths.add(content[PATH_HEAD:])
    if len(paths) > 1:
        raise _misencoded(plain_name(raw))
    try:
        return paths.pop().decode() if paths else None
    except UnicodeDecodeError as error:
        raise _misencoded(plain_name(raw)) from error


def name_problem(name: str) -> Problem | None:
    """Return why a file must not be called that; None for a good name."""
    shown = name.encode("unicode_escape").decode()[:100]
    if len(name) > MAX_NAME:
        message = (
            f"The archive holds a file name of {len(name)} characters; {MAX_NAME} are the most. "
            "Give the file a shorter one."
        )
        return problem("archive_unsafe_name", message, shown)
    drive = name[1:2] == ":" and name[:1].isascii() and name[:1].isalpha()
    if not name or name[0] in "/\\" or drive or ".." in path_of(name).split("/"):
        message = (
            "The archive holds a file name that points outside of it. "
            "Make the ZIP again from a plain folder."
        )
        return problem("archive_unsafe_name", message, shown)
    if _misleads(name[:-1] if name.lower().endswith(ICON) else name):
        message = (
            "The archive holds a file name with control characters. Give the file another one."
        )
        return problem("archive_unsafe_name", message, shown)
    return None


def path_of(name: str) -> str:
    """Return the name with plain slashes: some programs write backslashes, or put ``./`` before it all."""
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def is_junk(name: str) -> bool:
    """Return whether a computer put the file there by itself: resource forks, hidden files and folders, thumbnails.

    ``@eaDir`` is where a Synology keeps small copies of every photo.
    """
    parts = path_of(name.lower()).split("/")
    hidden = any(part.startswith(".") or part == "@eadir" for part in parts)
    return parts[0] == "__macosx" or hidden or parts[-1] in JUNK_NAMES


def is_archive(name: str) -> bool:
    """Return whether the name is that of a ZIP or the like."""
    return name.lower().endswith(ARCHIVE_SUFFIXES) and not is_junk(name)


def collisions(members: Iterable[Member]) -> Iterator[Problem]:
    """Yield the problem of each file that some computers would write over another.

    That is what Windows and macOS do with names that differ in case or in how a letter is composed
    (Unicode, 3.13, D145), and every system with a file that is called like a folder.
    """
    # With the lowest character between its parts, a name sorts right before all that lies below it.
    keyed = sorted((_key(member), member.is_folder, member.name) for member in members)
    for (before, above, first), (key, below, second) in pairwise(keyed):
        if key == before and above == below:
            message = (
                f"The archive holds {second} twice, or once more as {first}. "
                "Give each file its own name."
            )
            yield problem("archive_duplicate_name", message, second)
        elif key == before or (not above and key.startswith(f"{before}\0")):
            message = f"{first} is a file, and {second} needs a folder of that name. Rename one."
            yield problem("dataset_path_conflict", message, second)


def guess_warnings(members: Sequence[Member]) -> Iterator[Problem]:
    """Yield the problem that the ZIP does not say in which code page names are, with what was guessed."""
    guessed = [member for member in members if member.page]
    if guessed and any(member.name != plain_name(member.raw_name) for member in guessed):
        first = guessed[0]
        message = (
            f"The ZIP does not say how {len(guessed)} names are written; they were read as "
            f"{label_of(first.page)}, like {first.name}. If that is wrong, the photos are the same."
        )
        yield problem("archive_name_encoding_guessed", message, first.name)


def spelling_warnings(members: Sequence[Member]) -> Iterator[Problem]:
    """Yield the problem that paths are written with backslashes, which APPNOTE 4.4.17.1 forbids, and not all read."""
    named = [member.name for member in members if "\\" in member.name]
    if named:
        message = (
            f"The ZIP writes paths with backslashes, like {named[0]} (one of {len(named)}). Some "
            "programs take such a path for a name, or do not unpack it."
        )
        yield problem("archive_backslash_names", message, named[0])


def _key(member: Member) -> str:
    """Return the same for two names that some program takes for one; guessed names differ by their bytes."""
    name = member.name
    if member.page:
        return path_of(name).replace("/", "\0")
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return path_of(folded).replace("/", "\0")


def _misleads(name: str) -> bool:
    """Return whether it has characters that end a line, steer a terminal or turn the reading direction.

    Or marks without end, one over the other (Unicode UAX 15, section 13), which are slow to compare.
    Every other character is in use: macOS puts U+202F into the names of screenshots.
    """
    if name.isascii():
        return not name.isprintable()
    marks = 0
    for letter in name:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks > MAX_MARKS or is_misleading(letter):
            return True
    return False


def is_misleading(letter: str) -> bool:
    """Return whether a character steers a terminal, ends a line or turns the reading direction."""
    return (
        unicodedata.category(letter) in CONTROLS
        or unicodedata.bidirectional(letter) in BIDI_CONTROLS
    )


def _misencoded(name: str) -> Exception:
    return refusal(
        "archive_name_encoding",
        f"The name of {name} is written in more than one way, or in none. Rename the file, with "
        "plain letters, and make the ZIP again.",
        name,
    )
