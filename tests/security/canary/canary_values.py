"""What must not be found where it does not belong: each canary, and the places where it may be.

A secret may be nowhere, and no embedding of a face: that is biometric data. What a camera hides in a photo (place, owner) may be nowhere either: it is taken out
and never written down. What people call their photos, and what they write under them, is the owner's: it may
be in what the owner reads (report, status, the job's row and answers of the jobs API), and nowhere else. The
key of a dataset may also be in the inbox queue, since S3 puts it there. The address of a file at fal opens the
file: only ERROR.txt names it, and only that of an invalid result.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import unquote

from tests.security.canary.embeddings import Embeddings


class Kind(StrEnum):
    """What kind of value a canary is."""

    SECRET = "secret"
    HIDDEN = "hidden in a photo"
    NAME = "a photo's name or caption"
    KEY = "a dataset's key"
    ADDRESS = "the address of a file at fal"
    EMBEDDING = "a face embedding"


class Place(StrEnum):
    """Where something was written to."""

    LOG = "lines of logs"
    EXCEPTION = "exceptions"
    MESSAGE = "messages"
    INBOX = "inbox notices"
    REPORT = "reports"
    PUBLIC = "files for the owner"


OWNERS = frozenset({Kind.NAME, Kind.KEY})
MAY: Mapping[Place, frozenset[Kind]] = MappingProxyType(
    {
        Place.LOG: frozenset(),
        Place.EXCEPTION: frozenset(),
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
    "the0notify0secret": Kind.SECRET,
    "key=of-a-receiver": Kind.SECRET,
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
TOKEN = re.compile(r"(?=([0-9a-f]{32}))")
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


@dataclass(frozen=True)
class Hit:
    """A canary that was found where it must not be, and the test that wrote it."""

    kind: Kind
    canary: str
    place: Place
    test: str
    around: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.canary}) in {self.place}, {self.test}: {self.around}"


class CanaryScan:
    """A search for all canaries; the tokens of webhooks and embeddings of faces are added as they are made."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self.embeddings = Embeddings()
        self._patterns = [
            (re.compile(each, re.IGNORECASE), kind) for each, kind in PATTERNS.items()
        ]

    def add(self, token: str) -> None:
        """Add a secret of 32 hexadecimal digits."""
        assert TOKEN.match(token), token
        self._tokens.add(token)

    def found(self, text: str, place: Place) -> Iterator[tuple[Kind, str, str]]:
        """Kind, canary and surroundings of everything in a text that may not be in this place."""
        plain = unquote(ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), text))
        for form in dict.fromkeys((text, plain)):
            for canary, kind in LITERALS.items():
                if kind not in MAY[place] and (at := form.find(canary)) >= 0:
                    yield kind, canary, form[max(0, at - 60) : at + 60]
            for pattern, kind in self._patterns:
                if kind not in MAY[place] and (match := pattern.search(form)):
                    yield kind, pattern.pattern, form[max(0, match.start() - 60) : match.end() + 60]
            # One search for all tokens: a session makes hundreds of them.
            for match in TOKEN.finditer(form):
                if match[1] in self._tokens:
                    yield Kind.SECRET, match[1], form[max(0, match.start() - 60) : match.end() + 60]
            for written_as in self.embeddings.found(form):
                yield Kind.EMBEDDING, written_as, "(not shown)"
