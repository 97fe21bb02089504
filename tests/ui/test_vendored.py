"""What a browser loads of the page: kept files of others as they were published, little of ours, nothing from elsewhere."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lora_drop import ui

PAGE = Path(ui.__file__).parent
VENDOR = PAGE / "static" / "vendor"
KEPT = json.loads((VENDOR / "vendored.json").read_text())
OURS = sorted(
    file for file in (PAGE / "static").rglob("*") if file.is_file() and VENDOR not in file.parents
)
TEMPLATES = sorted((PAGE / "templates").rglob("*.*"))
LICENCES = {
    "0BSD": "Permission to use, copy, modify, and/or distribute this software for",
    "MIT": "Permission is hereby granted, free of charge, to any person obtaining a copy",
}
MOST_LINES = 400  # of our script
ELSEWHERE = re.compile(r"(?:https?:)?//[\w.-]+\.\w|data:text|javascript:", re.IGNORECASE)
LOADING = {"src", "srcset", "poster", "data", "action", "formaction", "background", "manifest"}
RUN_OF_TEXT = re.compile(
    r"\beval\s*\(|\bFunction\s*\(|set(?:Timeout|Interval)\(\s*['\"`]|document\.write|\bimport\s*\(|importScripts"
)


class Elements(HTMLParser):
    """The elements of a template, with their attributes; what Jinja2 writes is left out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(re.sub(r"\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}", "", text, flags=re.DOTALL))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


@pytest.mark.parametrize("row", KEPT, ids=lambda row: row["file"])
def test_a_kept_file_is_the_published_one(row: dict[str, str]) -> None:
    content = (VENDOR / row["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == row["sha256"]
    assert row["version"] in row["file"]
    # Where a file names its version itself, it is this one.
    named = re.search(rb'(?:version:|v)"?(\d+\.\d+\.\d+)', content)
    assert named is None or named[1].decode() == row["version"]
    assert LICENCES[row["licence"]] in (VENDOR / row["licence_file"]).read_text()


def test_nothing_else_is_kept() -> None:
    listed = {row[name] for row in KEPT for name in ("file", "licence_file")}
    assert {file.name for file in VENDOR.iterdir()} == listed | {"vendored.json"}
    assert {file.suffix for file in OURS} <= {".css", ".js", ".jpg"}


def test_our_script_is_short() -> None:
    lines = sum(len(file.read_text().splitlines()) for file in OURS if file.suffix == ".js")
    assert 0 < lines <= MOST_LINES


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_a_template_runs_and_loads_nothing_itself(file: Path) -> None:
    """Each would be refused by the policy of the page, or would leave this machine."""
    text = file.read_text()
    wrong = []
    for tag, attributes in Elements(text).found:
        wrong += [name for name in attributes if name.startswith("on") or name == "style"]
        wrong += [name for name in attributes if name.startswith("hx-on")]
        wrong += [value for value in attributes.values() if value.lower().startswith("javascript:")]
        wrong += ["js:" for value in attributes.values() if value.startswith("js:")]
        wrong += [tag] * (tag in ("style", "object", "embed", "base", "iframe"))
        wrong += [tag] * (tag == "script" and not attributes.get("src"))
        loads = LOADING | ({"href"} if tag in ("link", "use", "image") else set())
        wrong += [
            attributes[name]
            for name in loads & attributes.keys()
            if ELSEWHERE.search(attributes[name])
        ]
    assert wrong == []
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text


@pytest.mark.parametrize(
    "file", [file for file in OURS if file.suffix != ".jpg"], ids=lambda file: file.name
)
def test_our_files_load_nothing_from_elsewhere(file: Path) -> None:
    text = file.read_text()
    assert not ELSEWHERE.search(re.sub(r"http://www\.w3\.org/\d{4}/\w+", "", text))
    assert not RUN_OF_TEXT.search(text)
    assert "@import" not in text
    assert not re.search(r"\.(?:inner|outer)HTML\s*=|insertAdjacentHTML", text)
