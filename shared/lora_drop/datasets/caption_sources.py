"""Captions that lie elsewhere than beside their photo: in one file for all, in a folder's name, in a JSON.

- Hugging Face's imagefolder: ``metadata.jsonl`` or ``metadata.csv`` with a column ``file_name``
  (https://huggingface.co/docs/datasets/image_dataset); Replicate's ``captions.csv`` is of the same form.
- kohya's ``meta_cap.json``: an object with each photo's name (docs/fine_tune.md of kohya-ss/sd-scripts).
- One JSON a photo, ``anna.json`` or ``anna.jpg.json``, with a ``caption``, as gallery-dl and others write.
- The photo's own metadata, where nothing else has a caption for it (``embedded_captions``).
- kohya's folder ``20_ohwx person``: repeats, and the caption of each photo that has no other
  (docs/train_README-en.md of kohya-ss/sd-scripts, "DreamBooth").
"""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lora_drop.datasets.archives import path_of
from lora_drop.datasets.caption_text import MAX_CAPTION, Caption, certain_text, read_captions
from lora_drop.datasets.code_pages import guess
from lora_drop.datasets.selection import InspectionResult

SOURCE_SUFFIXES = frozenset({"json", "jsonl", "csv"})
MAX_SOURCE = 1024**2  # bytes
# What tools call a photo's name and its caption, with image_ as image; the earlier one counts.
NAMED = ("file_name", "filename", "file", "image", "imagefile", "imagepath", "path")
TEXTS = ("text", "caption", "captions", "prompt", "additional_feature")
REPEATS = re.compile(r"[1-9][0-9]{0,2}_(.*\w.*)")


def gather_captions(result: InspectionResult) -> None:
    """Read all captions of an archive together, and those that lie elsewhere."""
    photos = [*result.photos, *result.refused]
    own = {_base(photo) for photo in photos}
    apart = [name for name in result.raw_captions if _base(name) not in own]
    result.captions |= read_captions(result.raw_captions, apart)
    for photo, caption in captions_elsewhere(result.sources, photos).items():
        key = f"{caption.origin}: {photo}"
        result.captions[key] = caption
        result.elsewhere[photo] = key
        result.left_out.pop(caption.origin, None)
    for photo, embedded in result.embedded.items():
        if photo not in result.elsewhere:
            key = f"{photo}: {embedded.kind}"
            result.captions[key] = Caption(
                embedded.text, rewritten=True, origin=key, embedded=embedded.kind
            )
            result.elsewhere[photo] = key


def _base(name: str) -> str:
    return path_of(name).rpartition("/")[2].partition(".")[0].casefold()


def captions_elsewhere(sources: Mapping[str, bytes], photos: Sequence[str]) -> dict[str, Caption]:
    """Return the captions of photos that one of the files, or else the photo's folder, holds."""
    named = _Photos(photos)
    found: dict[str, Caption] = {}
    for source, data in sources.items():
        folder = path_of(source).casefold().rpartition("/")[0]
        for name, text in _entries(source, data):
            photo = named.meant(path_of(name).casefold(), folder)
            if photo is not None and photo not in found and _is_caption(text):
                found[photo] = Caption(text, rewritten=True, origin=source)
    for photo in photos:
        folder = path_of(photo).rpartition("/")[0]
        kohya = REPEATS.fullmatch(folder.rpartition("/")[2])
        if kohya and photo not in found:
            found[photo] = Caption(kohya[1].strip(), rewritten=True, origin=f"{folder}/")
    return found


class _Photos:
    """The photos by their paths, by their files' names, and by their paths without the ending."""

    def __init__(self, photos: Sequence[str]) -> None:
        self._paths = {path_of(photo).casefold(): photo for photo in photos}
        self._files: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for path, photo in self._paths.items():
            self._files[path.rpartition("/")[2]].append(photo)
            self._stems[path.rpartition(".")[0]].append(photo)

    def meant(self, name: str, folder: str) -> str | None:
        """Return the photo of this name, seen from the file's folder, from the root, or where only one ends so."""
        below = f"{folder}/{name}" if folder else name
        if found := self._paths.get(below) or self._paths.get(name):
            return found
        ends = self._files.get(name.rpartition("/")[2])
        if not ends:  # a name without its ending, or of the JSON beside the photo
            ends = [photo for path in {name, below} for photo in self._stems.get(path, ())]
        return ends[0] if len(ends) == 1 else None


def _is_caption(text: str) -> bool:
    return bool(text.strip()) and len(text.encode(errors="replace")) <= MAX_CAPTION


def _entries(source: str, data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the names of photos and their captions; nothing of a file of another form."""
    text = certain_text(data)
    if text is None:
        page = guess([data])
        text = data.decode(page.encoding) if page else ""
    suffix = source.rpartition(".")[2].lower()
    try:
        rows = [*_table(text)] if suffix == "csv" else [*_objects(text)]
    except (ValueError, RecursionError, csv.Error):
        return
    for row in rows:
        name, caption = _first(row, NAMED), _first(row, TEXTS)
        if name and caption:
            yield name, caption
        elif caption and len(rows) == 1:
            yield source.rpartition(".")[0], caption
        else:
            yield from _by_name(row)


def _by_name(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an object with the photos' names as its keys holds."""
    for name, value in row.items():
        text = _first(value, TEXTS) if isinstance(value, dict) else value
        if isinstance(text, str) and text and ("." in name or isinstance(value, dict)):
            yield name, text


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON, of a list in it, or of lines of JSON."""
    try:
        whole = json.loads(text)
    except ValueError:
        whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    rows = whole if isinstance(whole, list) else [whole]
    yield from (row for row in rows if isinstance(row, dict))


def _table(text: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV with a heading, whatever separates its cells."""
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    yield from ({_column(name): cell for name, cell in row.items()} for row in reader)


def _column(name: object) -> str:
    """Return a column's name as it is looked for."""
    plain = str(name).strip().lower()
    return plain.replace("image_", "image")


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the first of these that is a text."""
    values = (row.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value.strip()), "")
