"""What checkov is told to pass over has a reason beside it."""

import re
from pathlib import Path

import pytest
import yaml


def test_every_exception_is_explained(root: Path) -> None:
    lines = (root / ".checkov.yaml").read_text().splitlines()
    skipped = yaml.safe_load("\n".join(lines))["skip-check"]

    assert len(skipped) == len(set(skipped)) > 0
    for check in skipped:
        [place] = [
            number for number, line in enumerate(lines) if line.strip().startswith(f"- {check}")
        ]
        assert "#" in lines[place] or lines[place - 1].strip().startswith("#"), check


@pytest.mark.parametrize("tool", ["sam validate --lint", "cfn-lint", "checkov"])
def test_the_template_is_looked_at_before_the_tests_run(root: Path, tool: str) -> None:
    makefile = (root / "Makefile").read_text()
    check = re.search(r"^check: venv\n((?:\t.*\n)+)", makefile, re.MULTILINE)

    assert check
    assert tool in check[1]
    assert "test: check" in makefile
