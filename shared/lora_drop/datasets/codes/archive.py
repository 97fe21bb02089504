"""What can be wrong with the ZIP itself; what each code means is said where it is found."""

from collections.abc import Mapping

from lora_drop.datasets.archives.refusals import AGAIN, CODES
from lora_drop.datasets.codes.meaning import Kind, Meaning, changes

WARNINGS = frozenset({"archive_backslash_names"})
# What to do where making the ZIP anew is not enough, or not it.
ADVICE = {
    "archive_empty": "Upload the ZIP once more; the upload ended before it began.",
    "archive_invalid_format": "Pack the photos into a ZIP (not RAR, 7z or tar) and drop that.",
    "archive_truncated": "Upload or copy the ZIP once more; if that does not help, make it again.",
    "archive_multi_disk": "Make one ZIP in one file, without splitting it.",
    "archive_over_4_gib": "Choose the best 20 to 50 photos, so that the ZIP stays below 4 GiB.",
    "archive_too_many_files": "Choose the best 20 to 50 photos and put in only these.",
    "archive_too_large": "Choose fewer photos, or save smaller copies of them.",
    "archive_bomb": "Leave the file out, or save it anew in an image program.",
    "archive_strong_encryption": "Make the ZIP again without a password.",
    "archive_duplicate_name": "Give each file a name of its own, then make the ZIP again.",
    "archive_unsafe_name": "Rename the file, and make the ZIP again from a plain folder.",
    "archive_name_encoding": "Rename the file with plain letters and digits, and make the ZIP again.",
    "archive_backslash_names": "Make the next ZIP with another program; this one is read all the same.",
}  # fmt: skip


def _meaning(code: str, means: str) -> Meaning:
    kind = Kind.WARNS if code in WARNINGS else Kind.REFUSES
    return Meaning(kind, means, ADVICE.get(code, AGAIN))


ARCHIVE: Mapping[str, Meaning] = {
    **{code: _meaning(code, means) for code, means in CODES.items() if code.startswith("archive_")},
    "archive_metadata_removed": changes(
        "The ZIP told more than its files: when they were made, by whom, or a comment."
    ),
}
