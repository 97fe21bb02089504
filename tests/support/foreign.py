"""The foreign archives, and what is to be thought of each."""

import csv
from collections.abc import Iterator
from pathlib import Path

# Damaged on purpose, as their names or their projects' tests say; refused with an archive_ code.
DAMAGED = {
    "go/archive__zip__testdata__gophercolor16x16.png",  # an image that Go's test archives hold
    "go/archive__zip__testdata__readme.notzip",
    "go/archive__zip__testdata__readme.zip",  # its comment is a byte longer than it says
    "go/archive__zip__testdata__test-baddirsz.zip",
    "go/archive__zip__testdata__test-prefix.zip",
    "go/archive__zip__testdata__test-trailing-junk.zip",
    "jszip/test__ref__all_appended_bytes.zip",
    "jszip/test__ref__all_missing_bytes.zip",
    "jszip/test__ref__all_prepended_bytes.zip",
    "jszip/test__ref__invalid__bad_decompressed_size.zip",
    "jszip/test__ref__invalid__bad_offset.zip",
    "jszip/test__ref__invalid__crc32.zip",
    "jszip/test__ref__zip64_appended_bytes.zip",
    "jszip/test__ref__zip64_missing_bytes.zip",
    "jszip/test__ref__zip64_prepended_bytes.zip",
    "yauzl/test__wrong-entry-sizes__wrong-entry-sizes.zip",
}
# Sound, and of no use to a trainer; refused with a dataset_ code.
USELESS = {
    "go/archive__zip__testdata__dupdir.zip": "dataset_path_conflict",
    "go/archive__zip__testdata__symlink.zip": "dataset_link",
    "jszip/test__ref__encrypted.zip": "dataset_encrypted",
    "jszip/test__ref__invalid__compression.zip": "dataset_unsupported_compression",
    "jszip/test__ref__nested.zip": "dataset_nested_archive",
    "jszip/test__ref__nested_data_descriptor.zip": "dataset_nested_archive",
    "jszip/test__ref__nested_zip64.zip": "dataset_nested_archive",
    "stream-unzip/fixtures__7z_17_4_password_data_descriptor.zip": "dataset_encrypted",
    "stream-unzip/fixtures__7za_17_4_aes.zip": "dataset_encrypted",
    "stream-unzip/fixtures__7za_17_4_aes_data_descriptor.zip": "dataset_encrypted",
    "stream-unzip/fixtures__7za_17_4_deflate64.zip": "dataset_unsupported_compression",
    "stream-unzip/fixtures__infozip_3_0_password.zip": "dataset_encrypted",
    "stream-unzip/fixtures__infozip_3_0_password_data_descriptor.zip": "dataset_encrypted",
    "yauzl/test__success__bogus-compression-method.zip": "dataset_unsupported_compression",
    "yauzl/test__success__traditional-encryption-and-compression.zip": "dataset_encrypted",
    "yauzl/test__success__traditional-encryption.zip": "dataset_encrypted",
}
# PyPI takes no data descriptors and no names in code page 437; phones and desktops write both.
PYPI_ALONE = {
    "warehouse/tests__unit__utils__zipdata__reject__data_descriptor.zip",
    "warehouse/tests__unit__utils__zipdata__reject__data_descriptor_zip64.zip",
    "warehouse/tests__unit__utils__zipdata__reject__non_ascii_original_name.zip",
}


def foreign_archives(corpora: Path) -> Iterator[tuple[str, bytes]]:
    """Each archive by its path below ``zip/``, with its bytes."""
    with (corpora / "zip.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            yield row["file"].removeprefix("zip/"), (corpora / row["file"]).read_bytes()


def is_damaged(name: str) -> bool:
    """Whether its own project, or we, hold the archive to be broken."""
    by_project = "/test__failure__" in name or "__reject__" in name
    return name in DAMAGED or (by_project and name not in PYPI_ALONE)
