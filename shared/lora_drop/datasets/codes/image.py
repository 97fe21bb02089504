"""What can be wrong with, better in, or changed about one photo."""

from collections.abc import Mapping

from lora_drop.datasets.codes.meaning import Meaning, changes, refuses, warns

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
        "If it opens in an image program, save it anew as JPEG; otherwise leave it out.",
    ),
    "image_too_many_pixels": refuses(
        "A photo has more pixels than can be trained on.",
        "Save a smaller copy: 2,048 pixels along the longest side are plenty.",
    ),
    "image_too_much_work": refuses(
        "A photo is stored in such a way that it would take far too long to open.",
        "Open it in an image program and save it anew as JPEG, or leave it out.",
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
    "image_wrong_extension": warns(
        "A photo's name says another format than it has.", "Give it the right ending."
    ),
    "image_converted": changes("A photo was converted into a format that trainers read."),
    "image_first_frame": changes("Only the first picture of an animation is used."),
    "image_flattened": changes("White was put behind the transparent parts of a picture."),
    "image_depth_reduced": changes("A photo with more than 8 bits per colour has 8 now."),
    "image_colours_converted": changes("Colours for printing became colours for screens."),
    "image_turned": changes("A photo that lay on its side or was mirrored was turned upright."),
    "image_metadata_removed": changes(
        "Hidden data in a photo (place, time, camera, captions) was removed."
    ),
}
