"""Whether a check on this machine looks for faces, and what it looks for them with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lora_drop.client.config_file import KEYS, default_of, what_is_wrong
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.adapters.faces import OnnxFaces
    from lora_drop.datasets.report import Report

EXTRA_MISSING = "Faces were not looked for: pip install 'lora-drop[faces]'."
NAME = "faces"  # in the user's defaults


@dataclass(frozen=True, slots=True)
class FaceCheck:
    """What a check does about faces, as the stack's parameters FaceCheck and RequireOnePerson have it.

    ``wanted``: they are looked for. ``one_person``: a dataset that shows another person is refused.
    """

    wanted: bool = True
    one_person: bool = False

    @classmethod
    def of_outputs(cls, outputs: Mapping[str, str]) -> "FaceCheck":
        """Return that of a stack; one of an earlier version has no such outputs, and looks for no faces itself."""
        return cls(
            wanted=outputs.get("FaceCheck") != "false",
            one_person=outputs.get("RequireOnePerson") == "true",
        )

    def unless(self, *, no_faces: bool) -> "FaceCheck":
        """Return the same, or one that looks for no faces where a person has said so."""
        return FaceCheck(wanted=self.wanted and not no_faces, one_person=self.one_person)


def local_faces(check: FaceCheck) -> "OnnxFaces | None":
    """Return what finds and compares faces on this machine; None where they are not looked for.

    That is where they are not wanted, by the caller or by the user's defaults, and where the extra is not installed.
    Raises CommandError for defaults that cannot be read.
    """
    return _faces() if is_wanted(check) and _available() else None


def is_wanted(check: FaceCheck) -> bool:
    """Return whether faces are to be looked for; raises CommandError for defaults that cannot be read."""
    if not check.wanted:
        return False
    [variable] = KEYS[NAME].variables
    value = os.environ.get(variable) or default_of(NAME) or "true"
    if wrong := what_is_wrong(NAME, value):
        raise CommandError(f"{variable}: {wrong}")
    return value == "true"


def lacks_extra(check: FaceCheck) -> bool:
    """Return whether faces are wanted, and only the extra is missing."""
    return is_wanted(check) and not _available()


def missed(report: "Report", check: FaceCheck) -> bool:
    """Return whether a check would have looked for faces in this dataset if the extra were installed."""
    from lora_drop.datasets.style import STYLE, STYLE_VALUES  # noqa: PLC0415  # as above

    style = report.preset == STYLE or any(
        STYLE_VALUES.get(each.name) == each.value for each in report.parameters
    )
    return not (report.faces_checked or style) and lacks_extra(check)


def _available() -> bool:
    from lora_drop.adapters.faces import faces_available  # noqa: PLC0415  # only a check needs it

    return faces_available()


@cache
def _faces() -> "OnnxFaces":
    """Return the one of this process, which loads its models once."""
    from lora_drop.adapters.faces import OnnxFaces  # noqa: PLC0415  # as above

    return OnnxFaces()
