"""What the README shows is what happens."""

import re
import shlex
from pathlib import Path

import pytest

from lora_drop.fal.trainers.table import PORTRAIT, estimated_cost_usd
from lora_drop.local.deployment import sam_local_line
from tests.e2e.conftest import run_command_both
from tests.support.builders import APPLICATION

TRANSCRIPT = re.compile(r"<!-- transcript.*?-->\n```console\n\$ make demo\n(.*?)```", re.DOTALL)
SAM_LOCAL = re.compile(r"\$ lora-drop event .*\| ((?:.*\\\n)*.*)")
# What differs from run to run.
VARYING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"\+?\d+\.\d+ s", "SECONDS"),
    (r"astronaut-[0-9a-f]{10}", "JOB"),
    (r"sha256:[0-9a-f]{64}", "sha256:HASH"),
    (r"[\d,]+ bytes", "N bytes"),
    (r" +", " "),
)


def normal(text: str) -> list[str]:
    """The lines with what varies taken out; of the upload's progress bar nothing is left."""
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text)
    return [line.strip() for line in text.splitlines() if not line.startswith("upload ")]


@pytest.mark.promise("interfaces stay")
@pytest.mark.stack
@pytest.mark.proof  # the other tests of the fast suite deploy the same stack
def test_transcript_is_what_demo_prints(root: Path, tmp_path: Path) -> None:
    """The transcript in the README is what `make demo` prints."""
    shown = TRANSCRIPT.search((root / "README.md").read_text())
    assert shown is not None

    printed = run_command_both(tmp_path, "demo")

    assert normal(printed) == normal(shown[1])
    assert (tmp_path / "ledger.json").is_file()


def test_sam_local_line_is_current(root: Path) -> None:
    [shown] = SAM_LOCAL.findall((root / "docs" / "developers.md").read_text())
    state = Path(".lora-drop")

    printed = shlex.split(sam_local_line(state, state / "sam-env.json"))

    assert shlex.split(shown.replace("\\\n", " ")) == [
        word.replace("=arm64", "=x86_64") for word in printed
    ]


def test_presets_in_readme_are_current(root: Path) -> None:
    rows = re.findall(
        r"^\| `(\w+)`.*? \| (\d+) \| ([\d.]+) \| \$([\d.]+) \|$",
        (root / "docs" / "photographers.md").read_text(),
        re.MULTILINE,
    )

    assert [(name, int(steps), float(rate), float(cost)) for name, steps, rate, cost in rows] == [
        (
            name,
            preset.values["steps"],
            preset.values["learning_rate"],
            estimated_cost_usd(APPLICATION, int(preset.values["steps"])),
        )
        for name, preset in PORTRAIT.presets.items()
    ]
