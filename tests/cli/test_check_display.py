"""`lora-drop check` on a terminal: the worst first, each sentence once, nothing wider than the terminal."""

import io
import shlex
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from lora_drop.cli.check_display import show
from lora_drop.cli.command_line import FLAGS, NAMED, OPTIONS, command
from lora_drop.cli.display import Display
from lora_drop.cli.main import command_of
from lora_drop.cli.terminal import parameters_of
from lora_drop.cli.wrapping import wrapped
from lora_drop.datasets.report import ParameterReport, Report, ReportedChange, Verdict
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.problems import Problem

MASKS = [
    Problem(
        code="image_mask_unused", message=f"m/{n}.png is a mask of {n}.jpg.", member=f"m/{n}.png"
    )
    for n in range(12)
]
FEW = Problem(code="dataset_few_images", message="12 photos are enough to train; 20 are better.")
DARK = [
    Problem(code="caption_orphan", message=f"{n}.txt is dark. Take another.", member=f"{n}.txt")
    for n in (1, 2)
]
DAMAGED = Problem(
    code="image_damaged", message="half.jpg is damaged. Copy it again.", member="half.jpg"
)
ACCEPTED: dict[str, Any] = {
    "verdict": Verdict.ACCEPTED,
    "images": 1200,
    "size": 12_345_678,
    "estimated_cost_usd": 2.4,
    "parameters": (ParameterReport(name="steps", value=1000, source=ParameterSource.DEFAULT),),
}


def shown(width: int, options: Mapping[str, object] | None = None, **found: Any) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    show(console, "my photos/", Report(file="x", **found), options or {})
    assert isinstance(console.file, io.StringIO)
    return Text.from_ansi(console.file.getvalue()).plain.rstrip()


def test_the_worst_is_first_and_each_sentence_once() -> None:
    said = shown(80, verdict=Verdict.REJECTED, errors=(DAMAGED,), warnings=(FEW, *MASKS, *DARK))
    order = ["1 error", "half.jpg", "15 warnings", "12 files:", "2 files:", "20 are better", "next"]
    places = [said.index(each) for each in order]
    assert places == sorted(places)
    assert "m/0.png, m/1.png, m/2.png and 9 more" in said
    assert "1.txt, 2.txt" in said
    assert said.count("is dark") == 1
    assert "\nrejected: 1 error to mend; the dataset has no photos\n" in said
    assert said.splitlines()[-1] == "  next    mend the errors, then: lora-drop check 'my photos/'"


def test_numbers_are_as_people_write_them() -> None:
    said = shown(80, {"steps": 1000, "subject_crop": False, "x": "a b"}, **ACCEPTED)
    assert "accepted: 1,200 photos of 12.3 MB" in said
    assert "about $2.40 for 1,000 steps" in said
    assert said.endswith(
        "lora-drop train 'my photos/' --steps 1000 --no-subject-crop --set 'x=a b'"
    )


@pytest.mark.parametrize("width", [80, 50, 30])
def test_no_line_is_wider_but_a_command(width: int) -> None:
    changes = tuple(ReportedChange(code="image_srgb", member="a", message="a.") for _ in range(9))
    said = shown(width, **ACCEPTED, warnings=(FEW, *MASKS), mended=True, changes=changes)
    assert "9\N{MULTIPLICATION SIGN} colours in sRGB" in said
    wide = [line for line in said.splitlines() if len(line) > width]
    assert [line.split()[0] for line in wide] in ([], ["next"])


@pytest.mark.parametrize("width", [60, 40])
@pytest.mark.parametrize(
    "kept",
    [
        "export AWS_PROFILE=NAME",
        "lora-drop config set region eu-central-1",
        "FAL_KEY=ID:SECRET lora-drop init dev --yes --region eu-central-1 [--key-file FILE]",
        "lora-drop train 'my photos/' --trigger 'ada li' --direct",
        "lora-drop train few --trigger ada --direct",
        "lora-drop watch astronaut-b412aeca35",
        "https://fal.ai/dashboard/" + "x" * 60,
    ],
)
def test_sentence_is_wrapped_at_spaces(width: int, kept: str) -> None:
    said = f"AWS does not know you and an extraordinarily long sentence says so. Next: {kept}. It goes on."
    lines = [line.plain for line in wrapped(Text(said), width)]
    assert " ".join(lines) == said
    assert [kept in line for line in lines].count(True) == 1
    assert all(len(line) <= width or kept in line for line in lines)
    for terminal in (True, False):
        console = Console(file=io.StringIO(), width=width, force_terminal=terminal, no_color=True)
        Display(console).say(said)
        assert isinstance(console.file, io.StringIO)
        assert (console.file.getvalue() == f"{said}\n") is not terminal


GIVEN: dict[str, object] = {
    "trainer": "flux-lora",
    "preset": "style",
    "trigger_phrase": "a b",
    "steps": 5,
    "learning_rate": 0.5,
    "multiresolution_training": True,
    "subject_crop": False,
    "create_masks": True,
    "resume_from_checkpoint": "https://a/b c",
    "network_rank": "8",
}


def test_next_command_has_the_same_options() -> None:
    taken = {what: command_of(what) for what in ("check", "train")}
    for what, each in taken.items():
        words = shlex.split(command(what, "a b/", GIVEN, direct=False))[2:]
        read = each.make_context(what, words).params
        assert parameters_of({name: read.get(name) for name in GIVEN}, read["parameter"]) == GIVEN
    check, train = ({each.name for each in taken[what].params} for what in ("check", "train"))
    others = {"parameter", "key", "yes", "json_output", "output", "no_faces"}
    assert (
        check & train - others == OPTIONS.keys() | NAMED | FLAGS == GIVEN.keys() - {"network_rank"}
    )
