"""docs/promises.md names for each promise the test that holds it, and loses none in silence."""

from pathlib import Path

import pytest

from lora_drop.dev.promises import KINDS, PromiseError, check_none_lost, promises, promises_page

TEST = '''import pytest


@pytest.mark.promise("never pay twice")
def test_one():
    """A dataset is paid for once."""


def test_unmarked(): ...
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(TEST)
    return tmp_path


@pytest.mark.promise("interfaces stay")
def test_marked_tests_are_listed(project: Path) -> None:
    """docs/promises.md lists exactly the marked tests, in the words of their docstrings."""
    page = promises_page(project)
    assert "| A dataset is paid for once. | `tests/test_a.py::test_one` |" in page
    assert page.count("::") == 1


def test_promise_without_docstring_fails(project: Path) -> None:
    file = project / "tests" / "test_a.py"
    file.write_text(TEST.replace('"""A dataset is paid for once."""', "..."))
    with pytest.raises(PromiseError, match="test_one"):
        promises_page(project)


@pytest.mark.parametrize(
    ("changelog", "refused"),
    [
        ("# Changelog\n\n## Unreleased\n- Faster\n", True),
        ("# Changelog\n\n## Unreleased\n- Withdrawn promise: paid once\n", False),
        ("# Changelog\n\n## Unreleased\n\n## 0.1\n- Withdrawn promise: older\n", True),
    ],
)
def test_lost_promise_needs_changelog(project: Path, changelog: str, *, refused: bool) -> None:
    before = promises_page(project)
    (project / "tests" / "test_a.py").write_text("")
    after = promises_page(project)

    if refused:
        with pytest.raises(PromiseError, match="1 promises would disappear"):
            check_none_lost(before, after, changelog)
    else:
        check_none_lost(before, after, changelog)


def test_every_kind_has_promises(root: Path) -> None:
    assert {each.kind for each in promises(root)} == set(KINDS)
