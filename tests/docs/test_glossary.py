"""Names of classes and modules are made of words of docs/glossary.md and ordinary ones."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# Ordinary words of programming, of Python, AWS, HTTP and file formats.
STANDARD = frozenset(
    """
    2 3 access account action active adapter address advice allow answer api app as async auth backend
    background bad balance base batch beyond block body bootstrap bound box boxes break browse bucket
    budget bus button byte card cdn certificate change check choice chunk clean cli client code colour
    command common compare comparison config conflict connection content control convert copy cost count
    cursor damage data dead deadline decode deploy describe detect detection dev die difference
    directory display doc doctor download draft drawing drift drop dynamo dynamodb early edit embedded
    emulator end entry error evaluate event eventbridge exist explain explanation extra face fail fal
    field figure file filter finding finish fix flag flat folder follow foreign forget format forward
    found fresh gateway geometry go gone group handle header heif history host html http id ideogram
    illegal image in incoming incomplete inference init input inspect insufficient internal interrupt
    invalid item jpeg json jwks keep key kind known label lambda language large late latest layer lazy
    letter likeness limit line lineage list local log long look low main make manual many mark markup
    mean measure memory message meta metadata meter method metric middleware miss model multipart name
    network no not number object observability occupy one onnx open openapi output over overlay owner
    page parameter parity part patience people permanent person photo picture place plan platform png
    portrait post prefix prepare preview price process proof public publish query question queue range
    rate raw read ready refuse reject remainder resolve result room round route row rule run s s3
    safetensor sam sample save scale schema screen secret section security see select send sent serve
    server service setting share sheet sign simulator single size skill source sqs stack stale start
    step storage store stream structure style summary table tag tail target task tensor terminal text
    thread threshold tiff time timeout too tool total train transfer transient transition transport
    trigger turbo ui unacceptable unanswered unavailable unit unknown unpublished unreachable unreadable
    unsatisfiable until unusable update upload url usage use v valid validation value variety verdict
    version view wait warning watch webp weight whole wire word work wrapping write z
    """.split()  # noqa: SIM905  # a paragraph reads better
)
# Irregular forms of words that stand in one of the two lists.
FORMS = {
    "forgotten": "forget",
    "broken": "break",
    "kept": "keep",
    "seen": "see",
    "workers": "work",
    "hidden": "hide",
    "written": "write",
    "deliveries": "delivery",
    "entries": "entry",
    "copies": "copy",
    "copier": "copy",
    "meaning": "mean",
    "mender": "mend",
    "mended": "mend",
    "submitter": "submission",
    "submit": "submission",
    "submitted": "submission",
    "inspector": "inspection",
    "erasable": "erasure",
    "erased": "erasure",
    "eraser": "erasure",
    "deployment": "deploy",
    "layers": "layer",
    "selection": "select",
    "stored": "store",
    "inputs": "input",
    "related": "relation",
    "handler": "handle",
    "promises": "promise",
    "earlier": "early",
    "planned": "plan",
    "occupied": "occupy",
    "reconcile": "reconciler",
    "notification": "notify",
    "notifications": "notify",
    "notified": "notify",
    "notifier": "notify",
    "state": "status",
    "dispatch": "dispatcher",
}


def names(root: Path) -> Iterator[tuple[str, str]]:
    package = root / "shared" / "lora_drop"
    for file in sorted(package.rglob("*.py")):
        for part in file.relative_to(package).with_suffix("").parts:
            yield from ((word, str(file)) for word in part.strip("_").split("_"))
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                words = re.findall(r"[A-Z]+(?=[A-Z][a-z]|\d|$)|[A-Z][a-z]*|[a-z]+|\d", node.name)
                yield from ((word.lower(), node.name) for word in words)


def stems(word: str) -> Iterator[str]:
    word = FORMS.get(word, word)
    yield word
    for ending in ("s", "es", "d", "ed", "r", "er", "ing"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            yield from (stem, f"{stem}e")
            if len(stem) > 2 and stem[-1] == stem[-2]:
                yield stem[:-1]


def test_names_are_made_of_known_words(root: Path) -> None:
    page = (root / "docs" / "glossary.md").read_text()
    listed = set(
        re.findall(r"\w+", " ".join(re.findall(r"^\| \*\*(.+?)\*\*", page, re.MULTILINE)).lower())
    )

    unknown = {
        f"{word} in {name}"
        for word, name in names(root)
        if word and not {*stems(word)} & (listed | STANDARD)
    }

    assert unknown == set()


def test_glossary_is_sorted(root: Path) -> None:
    page = (root / "docs" / "glossary.md").read_text()
    listed = [word.lower() for word in re.findall(r"^\| \*\*(.+?)\*\*", page, re.MULTILINE)]
    assert listed == sorted(listed)
