"""docs/promises.md: every promise to the user, each with the tests that hold it.

A test holds a promise when it carries ``@pytest.mark.promise(kind)`` (or its module does, by
``pytestmark``); the first line of its docstring is the promise. A test that holds several carries
one ``@pytest.mark.promise(kind, sentence)`` for each. Tests are read, not imported.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KINDS = (
    "never pay twice",
    "never get stuck",
    "never pay for a dataset that cannot train",
    "never lose a result",
    "nothing leaks",
    "it can be operated",
    "interfaces stay",
)
type TestFunction = ast.FunctionDef | ast.AsyncFunctionDef
WITHDRAWN = re.compile(r"^- Withdrawn promise: ", re.MULTILINE)
HEAD = """# Promises

What lora-drop promises, in the words of the test that holds each promise. This page is generated from the tests
(`python -m lora_drop.dev.docs`). A kind of promise loses a line only together with a line `- Withdrawn promise: …` in the changelog.
"""


class PromiseError(ValueError):
    """Raised when a marked test is not documented, or promises would disappear without a word."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, and the test that holds it (``file::name``)."""

    kind: str
    sentence: str
    test: str


def promises_page(root: Path) -> str:
    """Return the page; raises PromiseError for a marked test without a docstring."""
    found = sorted(promises(root), key=lambda each: (each.sentence, each.test))
    lines = [HEAD]
    for kind in KINDS:
        rows = [each for each in found if each.kind == kind]
        lines += [f"## {kind[0].upper()}{kind[1:]}", "", "| promise | test |", "|---|---|"]
        lines += [f"| {each.sentence} | `{each.test}` |" for each in rows]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def check_none_lost(before: str, after: str, changelog: str) -> None:
    """Raise PromiseError when a kind has fewer promises and the changelog withdraws none."""
    unreleased = changelog.split("\n## ", 2)[1] if "\n## " in changelog else changelog
    withdrawn = len(WITHDRAWN.findall(unreleased))
    lost = sum(max(0, count - _counts(after)[kind]) for kind, count in _counts(before).items())
    if lost > withdrawn:
        raise PromiseError(
            f"{lost} promises would disappear from docs/promises.md and the changelog withdraws "
            f"{withdrawn}. Keep their tests, or add '- Withdrawn promise: …' to CHANGELOG.md."
        )


def promises(root: Path) -> Iterator[Promise]:
    """Yield every marked test below ``tests/``."""
    for file, node, marks in marked_tests(root, "promise"):
        for kind, *said in marks:
            yield _promise(kind, *said, node=node, file=file)


def marked_tests(root: Path, marker: str) -> Iterator[tuple[str, TestFunction, list[list[str]]]]:
    """Yield each test with a marker: its file, its function, and the arguments of each such mark."""
    for file in sorted((root / "tests").rglob("test_*.py")):
        text = file.read_text()
        if f"mark.{marker}(" not in text:
            continue
        tree = ast.parse(text)
        module_marks = _marks_of_module(tree, marker)
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            marks = _marks(node.decorator_list, marker) or module_marks
            if marks and node.name.startswith("test_"):
                yield file.relative_to(root).as_posix(), node, marks


def _promise(kind: str, said: str = "", *, node: TestFunction, file: str) -> Promise:
    docstring = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ").strip()
    sentence = said or docstring
    if kind not in KINDS or not sentence:
        raise PromiseError(f"{file}::{node.name}: kind {kind!r}, docstring {sentence!r}")
    return Promise(kind, sentence.replace("|", "\\|"), f"{file}::{node.name}")


def _marks_of_module(tree: ast.Module, marker: str) -> list[list[str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            value = node.value
            return _marks(
                value.elts if isinstance(value, ast.List | ast.Tuple) else [value], marker
            )
    return []


def _marks(marks: list[ast.expr], marker: str) -> list[list[str]]:
    """Return the arguments of each such mark among the decorators."""
    return [
        [str(ast.literal_eval(argument)) for argument in mark.args]
        for mark in marks
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{marker}"
    ]


def _counts(page: str) -> dict[str, int]:
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    by_title = {part.split("\n", 1)[0].lower(): part for part in sections}
    return {kind: by_title.get(kind, "").count("\n| ") - 1 for kind in KINDS}
