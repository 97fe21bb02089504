"""Whether a result file is what its name says, judged from its first bytes as they come."""

import json
import re

from lora_drop.jobs.artifacts import Artifact, is_json, is_weights
from lora_drop.jobs.errors import ResultInvalidError
from lora_drop.results.safetensors import PREFIX, InvalidWeightsError, check_weights, header_length

MAX_JSON = 1024**2
TOO_LARGE, UNREADABLE, IS_YAML = "json_too_large", "json_unreadable", "json_is_yaml"
# Comments, a document's mark, and the first key of a mapping (YAML 1.2.2, 8.2.2 and 9.1.2).
YAML = re.compile(rb"\s*+(?:(?:#|---)[^\n]*+\s++)*+[\w.-]++[ \t]*+:(?=\s)")


class Check:
    """Takes any file as it is; those below look at what they know.

    ``size`` is None where it is known only at the end: then nothing is judged before that.
    """

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._seen = bytearray()
        self._judged = False

    @property
    def missing(self) -> int:
        """How many more of the next bytes have to be seen to judge the file."""
        return 0 if self._judged else self._wanted() - len(self._seen)

    def feed(self, data: bytes | bytearray) -> None:
        """See the next bytes; raises ResultInvalidError as soon as they tell."""
        rest = memoryview(data)
        while rest and (missing := self.missing):
            self._seen += rest[:missing]
            rest = rest[missing:]
        if self._size is not None and not self.missing:
            self.finish(self._size)

    def finish(self, size: int) -> None:
        """Judge the file, of which nothing more comes; raises ResultInvalidError."""
        if not self._judged:
            self._judge(size)
            self._judged = True
            self._seen.clear()

    def _wanted(self) -> int:
        """Return how many bytes from the first on the judgement takes, as far as it is known by now."""
        return 0

    def _judge(self, size: int) -> None:
        """Raise ResultInvalidError where the file is not valid."""


class _Weights(Check):
    """A safetensors file: every byte of it is accounted for by its header."""

    def _wanted(self) -> int:
        wanted = PREFIX
        if len(self._seen) >= PREFIX:
            try:
                wanted += header_length(bytes(self._seen[:PREFIX]))
            except InvalidWeightsError as error:
                raise ResultInvalidError(error.flaw, str(error)) from error
        return wanted if self._size is None else min(wanted, self._size)

    def _judge(self, size: int) -> None:
        try:
            check_weights(bytes(self._seen), file_size=size)
        except InvalidWeightsError as error:
            raise ResultInvalidError(error.flaw, str(error)) from error


class _Json(Check):
    """A configuration: JSON, and not a large one."""

    def _wanted(self) -> int:
        most = MAX_JSON + 1  # one more than that is all it takes to know
        return most if self._size is None else min(most, self._size)

    def _judge(self, size: int) -> None:
        if size > MAX_JSON:
            message = f"It has {size:,} bytes, and a configuration {MAX_JSON:,} at most."
            raise ResultInvalidError(TOO_LARGE, message)
        try:
            # Digits stay text: int() gives up on more than 4,300 of them, and JSON does not.
            json.loads(self._seen, parse_int=str)
        except (ValueError, RecursionError) as error:
            if YAML.match(self._seen):
                raise ResultInvalidError(IS_YAML, "It is YAML, not JSON.") from error
            raise ResultInvalidError(UNREADABLE, "It is not JSON.") from error


def check_for(artifact: Artifact, size: int | None) -> Check:
    """Return the check that a file of this name and kind has to pass; none for what is not known here."""
    if is_weights(artifact):
        return _Weights(size)
    if is_json(artifact):
        return _Json(size)
    return Check(size)
