"""Every code a dataset can be refused or warned with, or that says what was changed about it.

``MEANINGS`` is the one list; docs/dataset-errors.md is made from it, and the report takes the heading
of several like problems from it. A code never changes what it means: it goes, and a new one comes.

``archive_`` codes speak of the container: it is damaged, or says two things at once. ``dataset_`` codes
speak of a sound container whose content cannot be trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

# What a code speaks of, by what has to be mended first: while the ZIP is damaged, nothing else that
# was found is certain, and a set that is too small stays too small whatever a caption says.
PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "archive": "the ZIP itself",
        "dataset": "what the ZIP holds, as a whole",
        "image": "one photo",
        "caption": "the text beside a photo",
        "parameter": "the parameters of the training",
    }
)
MAKE_AGAIN = "Make the ZIP again with an ordinary program, check that it opens, and drop it again."


class Kind(StrEnum):
    """What comes of it when a code is found."""

    REFUSES = "refuses"  # nothing is paid until it is put right
    WARNS = "warns"  # it trains, and could train better
    CHANGES = "changes"  # it was changed in what fal gets; nothing has to be done


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code: ``means`` and ``do`` are whole sentences, and hold for every case of it.

    A problem's own message names the file and the numbers; these stand above several of them.
    """

    kind: Kind
    means: str
    do: str


def refuses(means: str, do: str = MAKE_AGAIN) -> Meaning:
    """Return the meaning of an error: the dataset is refused."""
    return Meaning(Kind.REFUSES, means, do)


def warns(means: str, do: str) -> Meaning:
    """Return the meaning of a warning: the dataset is trained all the same."""
    return Meaning(Kind.WARNS, means, do)


def changes(means: str, do: str = "Nothing has to be done.") -> Meaning:
    """Return the meaning of a change in the copy that fal gets."""
    return Meaning(Kind.CHANGES, means, do)


ARCHIVE: Mapping[str, Meaning] = {
    "archive_empty": refuses(
        "The file has no bytes.", "Upload the ZIP once more; the upload ended before it began."
    ),
    "archive_invalid_format": refuses(
        "The file is not a ZIP.", "Pack the photos into a ZIP (not RAR, 7z or tar) and drop that."
    ),
    "archive_truncated": refuses(
        "The end of the ZIP is missing.",
        "Upload or copy the ZIP once more; if that does not help, make it again.",
    ),
    "archive_trailing_data": refuses("There are bytes after the end of the ZIP."),
    "archive_leading_data": refuses("There are bytes before the first file of the ZIP."),
    "archive_hidden_data": refuses("There are bytes between files that belong to none of them."),
    "archive_several_ends": refuses(
        "The ZIP ends in more than one way; each program sees other files."
    ),
    "archive_zip64_mismatch": refuses("The ZIP64 records contradict the ordinary ones."),
    "archive_multi_disk": refuses(
        "The ZIP is one part of a split archive.", "Make one ZIP in one file, without splitting it."
    ),
    "archive_over_4_gib": refuses(
        "The ZIP was made by a program that cannot write more than 4 GiB.",
        "Choose the best 20 to 50 photos, so that the ZIP stays below 4 GiB.",
    ),
    "archive_too_many_files": refuses(
        "The ZIP holds more files than a dataset may.",
        "Choose the best 20 to 50 photos and put in only these.",
    ),
    "archive_too_large": refuses(
        "The files unpack to more than a dataset may hold.",
        "Choose fewer photos, or save smaller copies of them.",
    ),
    "archive_bomb": refuses(
        "A file unpacks to far more than a photo of its packed size could.",
        "Leave the file out, or save it again in an image program.",
    ),
    "archive_inconsistent": refuses("The directory of the ZIP contradicts itself."),
    "archive_overlap": refuses("Two files share bytes, or a file reaches into the directory."),
    "archive_header_mismatch": refuses(
        "A file is described in one way where it lies, in another in the directory."
    ),
    "archive_extra_field": refuses("A file's extra information is longer than the room it has."),
    "archive_unsupported_version": refuses("A file asks for a newer kind of ZIP than there is."),
    "archive_strong_encryption": refuses(
        "The ZIP, directory and all, is encrypted.", "Make the ZIP again without a password."
    ),
    "archive_duplicate_name": refuses(
        "Two files have the same name, or names that some computers hold to be the same.",
        "Give each file a name of its own, then make the ZIP again.",
    ),
    "archive_unsafe_name": refuses(
        "A name points outside of the ZIP, or has characters that mislead its reader.",
        "Rename the file, and make the ZIP again from a plain folder.",
    ),
    "archive_name_encoding": refuses(
        "A name is not in the encoding that the ZIP says it is in.",
        "Rename the file with plain letters and digits, and make the ZIP again.",
    ),
    "archive_name_encoding_guessed": warns(
        "Names do not say their encoding, and were read as well as can be.",
        "Nothing has to be done where the names are right; the photos are the same.",
    ),
    "archive_backslash_names": warns(
        "Paths are written with backslashes, which not every program reads.",
        "Make the next ZIP with another program; this one is read all the same.",
    ),
    "archive_size_mismatch": refuses("A file unpacks to another size than the ZIP says."),
    "archive_damaged": refuses("A file cannot be unpacked."),
    "archive_crc_mismatch": refuses("A file unpacks to other bytes than were packed."),
    "archive_data_descriptor": refuses("What follows a file's data does not fit the file."),
    "archive_metadata_removed": changes(
        "The ZIP held more than its files: when they were made, by whom, or a comment."
    ),
}

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
        "The check takes longer than the stack has for one.",
        "Choose fewer photos, or save smaller copies of them.",
    ),
    "dataset_encrypted": refuses(
        "A file is protected by a password.", "Make the ZIP again without a password."
    ),
    "dataset_unsupported_compression": refuses(
        "A file is packed with a method that trainers do not read.",
        "Make the ZIP again with the usual method, which programs call Deflate or Normal.",
    ),
    "dataset_link": refuses(
        "A file is a link to another file.",
        "Put the file itself into the ZIP, not a link or an alias.",
    ),
    "dataset_special_file": refuses("A file is a device.", "Take it out of the ZIP."),
    "dataset_nested_archive": refuses(
        "A file is an archive of its own.", "Unpack it and put its photos in directly."
    ),
    "dataset_path_conflict": refuses(
        "A file has the name of a folder.", "Rename one of the two, then make the ZIP again."
    ),
    "dataset_missing": refuses(
        "The dataset was deleted before it could be read.", "Drop it again."
    ),
    "dataset_url_gone": refuses(
        "The dataset's address gives no file: it is not there, or may not be had.",
        "Correct the address, or have it signed once more, then order it again with another Idempotency-Key.",
    ),
    "dataset_url_not_allowed": refuses(
        "The dataset's address leads where this stack fetches nothing from.",
        "Put the file on a host of DatasetHosts, then order it again with another Idempotency-Key.",
    ),
    "dataset_url_timeout": refuses(
        "The dataset's address gave its file too slowly for an hour.",
        "Put the file on a faster server, then order it again with another Idempotency-Key.",
    ),
    "dataset_url_too_large": refuses(
        "The dataset's address gives 4 GiB or more.",
        "Choose the best 20 to 50 photos, then order it again with another Idempotency-Key.",
    ),
    "dataset_url_unreachable": refuses(
        "The dataset's address did not give the whole file within an hour.",
        "See that it can be downloaded, then order it again with another Idempotency-Key.",
    ),
    "dataset_unreadable": refuses(
        "The dataset is there, but may not be read.",
        "Give the stack the right to read it, and to use the key that it is encrypted with.",
    ),
    "dataset_check_failed": refuses(
        "The check itself broke on this dataset, which is our mistake.",
        "Please report it; a ZIP that is made again may pass.",
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
        "Put in the large original of each: small photos teach less detail.",
    ),
    "dataset_no_captions": warns(
        "No photo has a caption.",
        "A text file beside each photo (anna.jpg, anna.txt) says what is in it besides the person.",
    ),
    "dataset_face_none": warns(
        "No photo has a face that can be seen.",
        "For a portrait, put in photos that show the face; for a style or a thing, choose the preset style.",
    ),
    "dataset_face_two_people": warns(
        "The photos show two people.",
        "Keep the photos of one of them, and train the other on their own.",
    ),
    "dataset_face_many_people": warns(
        "The photos show many people, none of them in most.",
        "For a portrait, put in photos of one person; for a style or a thing, choose the preset style.",
    ),
    "dataset_face_not_compared": refuses(
        "Too few photos show one face clearly enough to say that all are of one person, which the stack requires.",
        "Cut the person out of group photos, or put in photos that show this person alone.",
    ),
    "dataset_face_no_time": warns(
        "There was no time to look for faces in so many large photos, or to compare them.",
        "Choose 20 to 50 photos, or save smaller copies of them; the training goes on without.",
    ),
    "dataset_face_unavailable": warns(
        "The stack could not look for faces: it lacks a model or the library that runs it.",
        "Look at the photos yourself, or drop the dataset again once the stack has been built and deployed again.",
    ),
    "dataset_face_check_failed": warns(
        "Looking for faces, or comparing them, broke, which is a mistake of the program.",
        "Report it. Look at the photos yourself; one that is saved again, or left out, may help.",
    ),
    "dataset_face_one_angle": warns(
        "All photos show the face from one angle.",
        "Add photos from other angles: what no photo shows has to be guessed.",
    ),
    "dataset_face_one_setting": warns(
        "In nearly all photos the background or the clothes look the same.",
        "Add photos in other places and clothes, or say in the captions what is seen of them.",
    ),
    "dataset_other_file": warns(
        "A file is no photo, no caption and no training.json; it was left out.",
        "Nothing, unless it should have been one: then save it as such.",
    ),
    "dataset_junk_dropped": changes(
        "A file that a computer had put there by itself was left out.",
    ),
    "dataset_repacked": changes(
        "The ZIP was packed again, so that every program sees the same files in it."
    ),
    "dataset_flattened": changes(
        "A file was taken out of its folder, or was given a name of its own.",
    ),
}

IMAGE: Mapping[str, Meaning] = {
    "image_empty": refuses(
        "A photo has no bytes.", "Copy it again from the camera or phone, or leave it out."
    ),
    "image_invalid_format": refuses(
        "A file is no image, whatever its name says.",
        "Open it in an image program and save it as JPEG, or leave it out.",
    ),
    "image_unsupported_format": refuses(
        "A photo is in a format that trainers do not read.", "Save it as JPEG or PNG."
    ),
    "image_truncated": refuses(
        "A photo is cut off: its end is missing.",
        "Copy it again from the camera or phone, and check that it opens.",
    ),
    "image_damaged": refuses(
        "A photo is damaged.",
        "If it opens in an image program, save it again as JPEG; otherwise leave it out.",
    ),
    "image_too_many_pixels": refuses(
        "A photo has more pixels than can be trained on.",
        "Save a smaller copy: 2,048 pixels along the longest side are plenty.",
    ),
    "image_too_much_work": refuses(
        "A photo is stored in such a way that it would take far too long to open.",
        "Open it in an image program and save it again as JPEG, or leave it out.",
    ),
    "image_too_small": refuses(
        "A photo is too small to see anything in: it has less than 64 pixels along a side.",
        "Put in the original photo, not a thumbnail or a preview.",
    ),
    "image_too_large": refuses(
        "A photo has more bytes than one may have.", "Save a smaller copy as JPEG."
    ),
    "image_unsupported_pixels": refuses(
        "A photo stores its colours in a way that is not read here.",
        "Open it in an image program and save it as an ordinary JPEG, in RGB with 8 bits.",
    ),
    "image_not_mended": refuses(
        "A photo had to be changed, and could not be.",
        "Open it in an image program and save it as JPEG, or leave it out.",
    ),
    "image_exact_duplicate": warns(
        "A photo is the same file as another, and is used once.",
        "Put in another photo in its place.",
    ),
    "image_mask_differs": warns(
        "A mask has another size than its photo.", "Make it again from the photo as it is shown."
    ),
    "image_mask_unused": warns(
        "A mask lies beside a photo, and the trainer takes none.", "Take the masks out."
    ),
    "image_regularization_unused": warns(
        "A photo lies in a folder for regularization (reg, class), which holds other people; it is left out.",
        "Nothing, unless it shows the person: then move it to the other photos.",
    ),
    "image_other_format_beside": warns(
        "A photo in a format that trainers do not read lies beside the same one as JPEG or the like.",
        "Nothing has to be done: the other one is used.",
    ),
    "image_near_duplicate": warns(
        "A photo looks almost the same as another.",
        "Keep the better one: photos that differ in angle, light and expression teach more.",
    ),
    "image_low_resolution": warns(
        "A photo has few pixels.",
        "Put in a larger original: 1,024 pixels along the shortest side are good.",
    ),
    "image_very_dark": warns("A photo is very dark.", "Brighten it, or take one in better light."),
    "image_blurred": warns(
        "A photo looks blurred.", "Choose a sharper one of the same moment, or leave it out."
    ),
    "image_flat_part": warns(
        "A part of a photo, from side to side, is one flat grey.",
        "If it was cut off once, copy it again from the camera or phone; cut a bar off.",
    ),
    "image_face_none": warns(
        "A photo has no face that can be seen.",
        "Put in a photo that shows the face, or leave this one out.",
    ),
    "image_face_several": warns(
        "A photo shows several faces.",
        "Cut out the part with the person who is trained, or leave it out.",
    ),
    "image_face_small": warns(
        "A face has few pixels.", "Put in the larger original, or a photo that was taken closer."
    ),
    "image_face_turned": warns(
        "A photo lies on its side or is upside down: its face is turned.",
        "Turn the photo and save it, so that the face is upright.",
    ),
    "image_face_covered": warns(
        "A face is partly covered.",
        "Choose a photo without a hand or a mask in front of the face.",
    ),
    "image_face_blurred": warns(
        "A face is blurred.", "Choose a sharper photo of the same moment, or leave it out."
    ),
    "image_face_other_person": warns(
        "A photo seems to show another person than the others.",
        "Leave it out if it does; age, make-up and light can make one person look like two.",
    ),
    "image_wrong_extension": warns(
        "A photo's name says another format than it has.", "Give it the right ending."
    ),
    "image_converted": changes("A photo was converted into a format that trainers read."),
    "image_first_frame": changes("Only the first picture of an animation is used."),
    "image_flattened": changes("White was put behind the transparent parts of a picture."),
    "image_depth_reduced": changes("A photo with more than 8 bits per colour has 8 now."),
    "image_colours_converted": changes("Colours for printing became colours for screens."),
    "image_srgb": changes(
        "Colours of a wider range (Display P3, Adobe RGB, ProPhoto) became sRGB."
    ),
    "image_tone_mapped": changes(
        "An HDR photo (PQ or HLG) was mapped to the brightness of an ordinary screen.",
        "Look at it in the report; the camera's own JPEG may look better.",
    ),
    "image_shrunk": changes("A photo with more pixels than trainers use was made smaller."),
    "image_turned": changes("A photo that lay on its side or was mirrored was turned upright."),
    "image_rejected": changes("A photo was left out by you, on the page of lora-drop ui."),
    "image_metadata_removed": changes(
        "Hidden data in a photo (place, time, camera, captions) was removed."
    ),
}

CAPTION: Mapping[str, Meaning] = {
    "caption_missing": refuses(
        "A photo has no caption, and this trainer fails without.",
        "Write one for each into a text file with the photo's name (anna.jpg, anna.txt), or give "
        'all of them one: --set default_caption="a photo of Ada".',
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
        "A caption was in another encoding, and was written again in UTF-8.",
        "Read it in the report; where it is not what you wrote, save the caption as UTF-8.",
    ),
    "caption_encoding_guessed": warns(
        "A caption does not say its encoding, or is damaged, and was read as well as can be.",
        "Read it in the report; where it says something else than you wrote, save it as UTF-8.",
    ),
    "caption_trigger_untrained": warns(
        "The trigger phrase is in no caption, so it is not trained.",
        "Write [trigger] into the captions, or give the word that they have as trigger_phrase.",
    ),
    "caption_trigger_unlike": warns(
        "Captions have something that looks like [trigger], and it is trained as it is written.",
        "Write [trigger] where the trigger phrase is meant.",
    ),
    "caption_trigger_partial": warns(
        "The trigger phrase is in some captions and not in others.",
        "Write [trigger] into each caption that shows the person.",
    ),
    "caption_collected": changes(
        "A caption was taken from a file or folder of captions, or from the photo's own metadata."
    ),
    "caption_edited": changes(
        "A photo has a caption that you wrote, changed or emptied, on the page of lora-drop ui."
    ),
    "caption_line_breaks": changes("Soft line breaks in a caption became ordinary ones."),
    "caption_renamed": changes("A caption got the name under which trainers look for it."),
    "caption_trigger_filled": changes(
        "The trigger phrase was put in place of [trigger], since the trainer does not do it."
    ),
    "caption_left_out": changes("A caption that is empty, or belongs to no photo, was left out."),
}

PARAMETER: Mapping[str, Meaning] = {
    "parameter_invalid_json": refuses(
        "training.json is not a JSON object.",
        'Write it like {"steps": 1500, "trigger_phrase": "ada"}.',
    ),
    "parameter_file_too_large": refuses(
        "training.json is far longer than parameters are.", "Put parameters into it, and no more."
    ),
    "parameter_file_misplaced": refuses(
        "training.json lies where it would not be used.",
        "Move it into the root of the ZIP, or take it out.",
    ),
    "parameter_unknown": refuses(
        "The trainer has no such parameter; fal would ignore it, and bill.",
        "Correct its name, or take it out.",
    ),
    "parameter_unknown_preset": refuses(
        "There is no such preset.", "Take one of those that the message lists."
    ),
    "parameter_unknown_trainer": refuses(
        "lora-drop does not know this trainer.", "Take one of those that the message lists."
    ),
    "parameter_given_twice": refuses(
        "A parameter is given twice in one place.", "Keep one of the two."
    ),
    "parameter_invalid_type": refuses(
        "A parameter's value is of another type than it takes.",
        "Write a value as the message says.",
    ),
    "parameter_address_not_allowed": refuses(
        "The address in notify-url is none that this stack notifies.",
        "Write it as https:// with a host that the stack's parameter NotifyHosts lists (as NAME:PORT for a port other than 443), or have it added there.",
    ),
    "parameter_out_of_range": refuses(
        "A parameter's value is outside of what the trainer takes.",
        "Choose a value within the range that the message states.",
    ),
    "parameter_file_misnamed": refuses(
        "training.json is called otherwise, so its parameters would not be used.",
        "Rename it training.json; Windows shows the ending .txt once file name extensions are shown.",
    ),
    "parameter_checkpoint_unknown": refuses(
        "resume_from_checkpoint names a job that there is not.",
        "Write the id as lora-drop jobs lists it, or the https:// address of a LoRA.",
    ),
    "parameter_checkpoint_of_other_trainer": refuses(
        "resume_from_checkpoint names a LoRA of another trainer.",
        "Name a job of the same trainer, or choose that job's trainer.",
    ),
    "parameter_checkpoint_missing": refuses(
        "The job that resume_from_checkpoint names has no LoRA.",
        "Name another job, or wait until that one has ended.",
    ),
    "parameter_steps_below_minimum": warns(
        "Fewer steps are trained than are billed.",
        "Train with the least that is billed: it costs the same.",
    ),
    "parameter_preset_unlike": warns(
        "The folder's name is nearly that of a preset, and is none.",
        "Drop the dataset into the preset's folder, or give preset in its metadata.",
    ),
    "parameter_preset_misspelled": refuses(
        "The folder's name is nearly that of a preset, and the stack refuses that (MisspelledPresetFolder).",
        "Drop the dataset into the preset's folder, or into one with quite another name.",
    ),
    "parameter_metadata_ignored": warns(
        "The object has metadata that is no parameter and is ignored.",
        "Nothing has to be done where a program has written it; a parameter is written as docs/trainers.md has it.",
    ),
    "parameter_steps_unusual": warns(
        "The number of steps is outside of what is advised.",
        "Choose one within the range of a preset, unless it is meant so.",
    ),
    "parameter_learning_rate_unusual": warns(
        "The learning rate is outside of what is advised.",
        "Choose one within the range of a preset, unless it is meant so.",
    ),
}

MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {**ARCHIVE, **DATASET, **IMAGE, **CAPTION, **PARAMETER}
)


def rank(code: str) -> int:
    """Return how soon a problem with this code has to be mended; the smallest number first."""
    order = [*PREFIXES]
    prefix = code.partition("_")[0]
    return order.index(prefix) if prefix in order else len(order)
