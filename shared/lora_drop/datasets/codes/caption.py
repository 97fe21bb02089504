"""What can be wrong with, better in, or changed about the text beside a photo."""

from collections.abc import Mapping

from lora_drop.datasets.codes.meaning import Meaning, changes, refuses, warns

CAPTION: Mapping[str, Meaning] = {
    "caption_missing": refuses(
        "A photo has no caption, and this trainer fails without.",
        "Write one for each into a text file with the photo's name (anna.jpg, anna.txt), or give "
        "all of them one with default_caption.",
    ),
    "caption_unreadable": refuses(
        "A caption is no text that can be read.", "Save it as plain text, in UTF-8."
    ),
    "caption_too_long": refuses(
        "A caption is longer than one may be.", "A sentence or two say enough: shorten it."
    ),
    "caption_orphan": warns(
        "A caption belongs to no photo, and is not used.",
        "Give it the name of its photo: anna.txt for anna.jpg.",
    ),
    "caption_absent": warns(
        "Some photos have a caption, and some have none.",
        "Write one for each photo, or for none.",
    ),
    "caption_empty": warns(
        "A caption says nothing.", "Write into it what the photo shows, or leave it out."
    ),
    "caption_trigger_unset": warns(
        "A caption says [trigger], and there is no trigger phrase.",
        "Give one with trigger_phrase, or write the word itself into the captions.",
    ),
    "caption_encoding": changes(
        "A caption was in another encoding, and was written anew in UTF-8.",
        "Read it in the report: where the encoding was not Windows-1252, save the caption as UTF-8.",
    ),
    "caption_renamed": changes("A caption got the name under which trainers look for it."),
    "caption_trigger_filled": changes(
        "The trigger phrase was put in place of [trigger], since the trainer does not do it."
    ),
    "caption_left_out": changes("A caption that is empty, or belongs to no photo, was left out."),
}
