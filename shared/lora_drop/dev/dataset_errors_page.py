"""docs/dataset-errors.md: every code of a dataset's check, from the one table of them."""

from collections.abc import Iterator

from lora_drop.datasets.problem_codes import MEANINGS, PREFIXES, Kind, Meaning

INTRO = """\
# What a dataset can be told

Every code that a dataset's check gives: in `report.json`, in `report.html`, in `ERROR.txt`, by
`lora-drop check` and by the API. Codes do not change; the sentence beside one in a report names the file and
the numbers.

- **refuses**: nothing is sent to fal and nothing is paid until somebody has done something about it.
- **warns**: it is trained on, and could train better.
- **changes**: it was changed in the copy that fal gets; the ZIP that was dropped stays as it is."""
ORDER = tuple(Kind)


def dataset_errors_page() -> str:
    """Every code by what it speaks of; what refuses comes first."""
    lines = [INTRO]
    for prefix, about in PREFIXES.items():
        lines += ["", f"## `{prefix}_`: {about}", "", *_table(prefix)]
    return "\n".join(lines) + "\n"


def _table(prefix: str) -> Iterator[str]:
    yield "| code | | what it means | what to do |"
    yield "|---|---|---|---|"
    found = [(code, each) for code, each in MEANINGS.items() if code.startswith(f"{prefix}_")]
    for code, meaning in sorted(found, key=lambda pair: ORDER.index(pair[1].kind)):
        yield _row(code, meaning)


def _row(code: str, meaning: Meaning) -> str:
    cells = (f"`{code}`", str(meaning.kind), meaning.means, meaning.do)
    return f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |"
