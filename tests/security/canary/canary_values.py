"""What must not be found where it does not belong: each bird, and where it may sit.

A secret may be nowhere. What a camera hides in a photo (place, owner) may be nowhere either: it is taken
out, and nobody writes it down. What people call their photos, and what they write under them, is the
owner's: it may be in what the owner reads (report, status, the job's row and answers of the jobs API),
and nowhere else. The key of a dataset may besides be in the inbox queue: S3 itself puts it there. Whoever
has the address of a file at fal has the file: ERROR.txt names that of a result that is none, and nobody else.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import unquote


class Kind(StrEnum):
    """What a bird is."""

    SECRET = "secret"
    HIDDEN = "hidden in a photo"
    NAME = "a photo's name or caption"
    KEY = "a dataset's key"
    ADDRESS = "the address of somebody's files"


class Place(StrEnum):
    """Where something was written to."""

    LOG = "lines of logs"
    EXCEPTION = "exceptions"
    TRACE = "traces"
    MESSAGE = "messages"
    INBOX = "inbox notices"
    REPORT = "reports"
    PUBLIC = "files for the owner"


OWNERS = frozenset({Kind.NAME, Kind.KEY})
MAY: Mapping[Place, frozenset[Kind]] = MappingProxyType(
    {
        Place.LOG: frozenset(),
        Place.EXCEPTION: frozenset(),
        Place.TRACE: frozenset(),
        Place.MESSAGE: frozenset(),
        Place.INBOX: frozenset({Kind.KEY}),
        Place.REPORT: OWNERS,
        Place.PUBLIC: OWNERS | {Kind.ADDRESS},
    }
)

SESSION_TOKEN = "canary+session/token=="  # it opens nothing
OWNER, CAMERA = "Zoe Kanarienvogel", "Canarycam 7000"
PHOTO = "zoe.kanarienvogel@mail.example beach"
CAPTION = "kanarienvogel-caption in her garden"
FOLDER = "zoe-kanarienvogel@mail.example"
LATITUDE = "52.516274"

LITERALS: dict[str, Kind] = {
    SESSION_TOKEN: Kind.SECRET,
    # What the other tests have for secrets.
    "fal-key-id:fal-key-secret": Kind.SECRET,
    "key-id:key-secret": Kind.SECRET,
    "old-id:old-secret": Kind.SECRET,
    "the stack's own webhook secret": Kind.SECRET,
    OWNER: Kind.HIDDEN,
    CAMERA: Kind.HIDDEN,
    LATITUDE: Kind.HIDDEN,
    PHOTO: Kind.NAME,
    CAPTION: Kind.NAME,
    FOLDER: Kind.KEY,
    "portrait/ada": Kind.KEY,
    "style/bob": Kind.KEY,
}
PATTERNS: dict[str, Kind] = {
    r"X-Amz-Signature=[0-9a-f]+": Kind.SECRET,
    r"X-Amz-Credential=": Kind.SECRET,
    r"X-Amz-Security-Token=": Kind.SECRET,
    r"/webhooks/fal/[^/\s]+/[0-9a-f]{32}": Kind.SECRET,
    r"Authorization['\"]?: ?['\"]?Key \S": Kind.SECRET,
    r"\bphoto-\d\d\.jpg": Kind.NAME,
    r"https://v3b?\.fal\.media/files/": Kind.ADDRESS,
}
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


@dataclass(frozen=True)
class Hit:
    """A bird that was found where it must not be, and in which test."""

    kind: Kind
    bird: str
    place: Place
    test: str
    around: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.bird}) in {self.place}, {self.test}: {self.around}"


class Cage:
    """All birds; tokens are put in as they are made."""

    def __init__(self) -> None:
        self._literals = dict(LITERALS)
        self._patterns = [
            (re.compile(each, re.IGNORECASE), kind) for each, kind in PATTERNS.items()
        ]

    def add(self, secret: str) -> None:
        """One more secret."""
        self._literals[secret] = Kind.SECRET

    def found(self, text: str, place: Place) -> Iterator[tuple[Kind, str, str]]:
        """Kind, bird and surroundings of everything in a text that may not be in this place."""
        plain = unquote(ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text))
        for form in dict.fromkeys((text, plain)):
            for bird, kind in self._literals.items():
                if kind not in MAY[place] and (at := form.find(bird)) >= 0:
                    yield kind, bird, form[max(0, at - 60) : at + 60]
            for pattern, kind in self._patterns:
                if kind not in MAY[place] and (match := pattern.search(form)):
                    yield kind, pattern.pattern, form[max(0, match.start() - 60) : match.end() + 60]
