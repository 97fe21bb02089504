"""A copy in the making: what it is made from, and its parts where it will lie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Label:
    """What a copy says of itself where it lies: its kind, the source that it is a copy of, and more."""

    kind: str
    source: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExistingFile:
    """A file that lies there; ``source`` as its label says, empty where something else put it."""

    size: int
    source: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an unfinished copy as the store keeps it; ``checksum`` is the store's own."""

    number: int
    size: int
    etag: str
    checksum: str


class OpenArtifact(Protocol):
    """A result file that is open to be read.

    ``identity`` tells this very file from another one at its address; where it is empty, the file
    can only be read in one go, from its first byte on. ``size`` is None where it is not said.
    """

    @property
    def size(self) -> int | None:
        """In bytes."""

    @property
    def identity(self) -> str:
        """The file's strong ETag, while ranges of it can be had."""

    def read(self, offset: int, into: memoryview) -> int:
        """Fill the buffer from this offset on; how many bytes, fewer only at the file's end.

        Raises SourceChangedError when it is not the file any more that was opened, ResultGoneError when it
        is no more, and DownloadInterruptedError.
        """
