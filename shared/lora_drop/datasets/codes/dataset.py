"""What can be wrong with, better in, or changed about what a ZIP holds, as a whole."""

from collections.abc import Mapping

from lora_drop.datasets.archives.refusals import CODES
from lora_drop.datasets.codes.meaning import Meaning, changes, refuses, warns

DATASET: Mapping[str, Meaning] = {
    "dataset_insufficient_images": refuses(
        "There are too few photos that can be trained on.",
        "Add photos, or mend those that were refused; 10 are needed, 20 to 50 are best.",
    ),
    "dataset_too_many_images": refuses(
        "There are more photos than a training may have.",
        "Choose the best of them: 20 to 50 are best, 1,000 are the most.",
    ),
    "dataset_too_large": refuses(
        "The photos have more bytes than a training may have.",
        "Choose fewer photos, or save smaller copies of them.",
    ),
    "dataset_check_too_long": refuses(
        "The check took longer than it may.",
        "Choose fewer photos, or save smaller copies of them.",
    ),
    "dataset_encrypted": refuses(
        CODES["dataset_encrypted"], "Make the ZIP again without a password."
    ),
    "dataset_unsupported_compression": refuses(
        CODES["dataset_unsupported_compression"],
        "Make the ZIP again with the usual method, which programs call Deflate or Normal.",
    ),
    "dataset_link": refuses(
        CODES["dataset_link"], "Put the file itself into the ZIP, not a link or an alias."
    ),
    "dataset_special_file": refuses(CODES["dataset_special_file"], "Take it out of the ZIP."),
    "dataset_nested_archive": refuses(
        CODES["dataset_nested_archive"], "Unpack it and put its photos in directly."
    ),
    "dataset_path_conflict": refuses(
        CODES["dataset_path_conflict"], "Rename one of the two, then make the ZIP again."
    ),
    "dataset_missing": refuses(
        "The dataset was deleted before it could be read.", "Drop it again."
    ),
    "dataset_unreadable": refuses(
        "The dataset is there, but may not be read.",
        "Give the stack the right to read it, and to use the key that it is encrypted with.",
    ),
    "dataset_check_failed": refuses(
        "The check itself broke on this dataset, which is our mistake.",
        "Please report it; a ZIP made anew may pass.",
    ),
    "dataset_more_problems": refuses(
        "There are more problems than are listed.", "Mend the listed ones first, and try again."
    ),
    "dataset_few_images": warns(
        "There are enough photos to train, and few to train well.",
        "Add photos that differ in angle, light and expression: 20 to 50 are best.",
    ),
    "dataset_several_sizes": warns(
        "The photos have very different sizes.",
        "Put in the large original of each, so that all of them teach the same detail.",
    ),
    "dataset_no_captions": warns(
        "No photo has a caption.",
        "A text file beside each photo (anna.jpg, anna.txt) says what is in it besides the person.",
    ),
    "dataset_other_file": warns(
        "A file is no photo, no caption and no training.json; it was left out.",
        "Nothing, unless it should have been one: then save it as such.",
    ),
    "dataset_junk_dropped": changes(
        "A file that a computer had put there by itself was left out.",
    ),
    "dataset_repacked": changes(
        "The ZIP was packed anew, so that every program sees the same files in it."
    ),
    "dataset_flattened": changes(
        "A file was taken out of its folder, or was given a name of its own.",
    ),
}
