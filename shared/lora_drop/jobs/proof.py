"""A proof sheet: a few pictures that are made with a new LoRA, and how much they look like the dataset.

Each picture is a job of its own, so it is paid for, sent, awaited and stored by the same rules as a training.
"""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict

# The folder of the pictures, in the folder of the training's files.
PROOF_FOLDER = "proof"
PICTURE_NAME = "picture.jpg"
# The contact sheet and its numbers, in that folder.
PROOF_PAGE, PROOF_FILE = "proof.html", "proof.json"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class PictureOrder(_Value):
    """What one picture is made of; ``proof_of`` is the training's job, ``number`` counts from 1."""

    proof_of: str
    number: int
    prompt: str
    seed: int
    width: int
    height: int


class PictureLikeness(_Value):
    """One picture against the dataset: the cosine to the photos' centre; None where no face was found in it."""

    number: int
    likeness: float | None = None
    copy_of: str | None = None  # the photo that it is nearly the same as


class Likeness(_Value):
    """How much the pictures look like the person: their median, and what the photos reach among themselves."""

    likeness: float | None = None
    among_photos: float | None = None
    pictures: tuple[PictureLikeness, ...] = ()
    advice: str = ""  # sentences; empty where there is nothing to say

    @property
    def words(self) -> str:
        """Return the two numbers as people read them; empty where there are none."""
        if self.likeness is None or self.among_photos is None:
            return ""
        likeness, among = f"{self.likeness:.2f}", f"{self.among_photos:.2f}"
        if self.likeness >= self.among_photos:
            return f"{likeness}, as much as the photos reach among themselves ({among})"
        return f"{likeness} of the {among} that the photos reach among themselves"

    def short(self, whose: str = "") -> str:
        """Return the same for a cell: “0.72 of 0.84”, “0.91 (photos 0.87)”; empty where there are none.

        ``whose``: said after the second number, where it is the larger one.
        """
        if self.likeness is None:
            return ""
        likeness = f"{self.likeness:.2f}"
        if self.among_photos is None:
            return likeness
        among = f"{self.among_photos:.2f}"
        low = self.likeness < self.among_photos
        return f"{likeness} of {among}{whose}" if low else f"{likeness} (photos {among})"


class ProofSheet(_Value):
    """A training's proof sheet: the jobs of its pictures, and what came of them once all have ended.

    ``note`` is a sentence where there is no picture, or no number, and why. ``made_from`` are the versions of the
    pictures' rows that the finished sheet was made from: of another one it does not know. ``paid_usd`` is what these
    were charged in US dollars, none for one that was never sent; None until the sheet is done.
    """

    pictures: tuple[str, ...] = ()
    note: str = ""
    made_from: Mapping[str, int] = {}
    done_at: datetime | None = None
    paid_usd: float | None = None
    likeness: Likeness | None = None
