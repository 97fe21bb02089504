"""What can be wrong with a ZIP, as codes that do not change, and how a person is told.

``archive_`` codes speak of the container: it is damaged, or says two things at once. ``dataset_`` codes
speak of a sound container that holds what nobody can train on.
"""

from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

AGAIN = "Make the ZIP again with an ordinary program, check that it opens, and drop it again."

# Every code of this package, and what it means.
CODES = {
    "archive_empty": "The file has no bytes.",
    "archive_invalid_format": "The file is not a ZIP.",
    "archive_truncated": "The end of the ZIP is missing.",
    "archive_trailing_data": "There are bytes after the end of the ZIP.",
    "archive_leading_data": "There are bytes before the first file of the ZIP.",
    "archive_hidden_data": "There are bytes between files that belong to none of them.",
    "archive_several_ends": "The ZIP ends in more than one way; each program sees other files.",
    "archive_zip64_mismatch": "The ZIP64 records contradict the ordinary ones.",
    "archive_multi_disk": "The ZIP is one part of a split archive.",
    "archive_over_4_gib": "The ZIP was made by a program that cannot write more than 4 GiB.",
    "archive_too_many_files": "The ZIP holds more files than a dataset may.",
    "archive_too_large": "The files unpack to more than a dataset may hold.",
    "archive_bomb": "A file unpacks to far more than a photo of its packed size could.",
    "archive_inconsistent": "The directory of the ZIP contradicts itself.",
    "archive_overlap": "Two files share bytes, or a file reaches into the directory.",
    "archive_header_mismatch": "A file is described in one way where it lies, in another in the directory.",
    "archive_extra_field": "A file's extra information is longer than the room it has.",
    "archive_unsupported_version": "A file asks for a newer kind of ZIP than there is.",
    "archive_strong_encryption": "The ZIP, directory and all, is encrypted.",
    "archive_duplicate_name": "Two files have the same name, or names that some computers hold to be the same.",
    "archive_unsafe_name": "A name points outside of the ZIP, or has characters that mislead its reader.",
    "archive_name_encoding": "A name is not in the encoding that the ZIP says it is in.",
    "archive_backslash_names": "Paths are written with backslashes, which not every program reads.",
    "archive_size_mismatch": "A file unpacks to another size than the ZIP says.",
    "archive_damaged": "A file cannot be unpacked.",
    "archive_crc_mismatch": "A file unpacks to other bytes than were packed.",
    "archive_data_descriptor": "What follows a file's data does not fit the file.",
    "dataset_encrypted": "A file is protected by a password.",
    "dataset_unsupported_compression": "A file is packed with a method that trainers do not read.",
    "dataset_link": "A file is a link to another file.",
    "dataset_special_file": "A file is a device.",
    "dataset_nested_archive": "A file is an archive of its own.",
    "dataset_path_conflict": "A file has the name of a folder.",
}  # fmt: skip


def problem(code: str, message: str, member: str | None = None) -> Problem:
    """One of the codes above; raises KeyError for any other."""
    CODES[code]  # a code that nobody can look up is a mistake of ours
    return Problem(code=code, message=message, member=member)


def refusal(code: str, message: str, member: str | None = None) -> DatasetRejectedError:
    """The same as the only reason."""
    return DatasetRejectedError([problem(code, message, member)])


def inconsistent(what: str, member: str | None = None) -> DatasetRejectedError:
    """That the directory or the end records contradict themselves."""
    return refusal("archive_inconsistent", f"The ZIP contradicts itself: {what}. {AGAIN}", member)
