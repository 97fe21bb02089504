"""docs/fal-parity.md: what fal's page of the portrait trainer offers, each row with the tests that run it here.

A test runs a row when it carries ``@pytest.mark.parity(row, …)`` with the row's name. A row without a
test, and a mark that names no row, are errors, so the page cannot name a test that is not there. So are
a mark outside of the simulator's tests, and a row of fal's protocol that no test runs by fal_client itself.
Source of the rows: https://fal.ai/models/fal-ai/flux-lora-portrait-trainer/api
"""

from collections.abc import Mapping
from pathlib import Path

from lora_drop.dev.promises import TestFunction, marked_tests

# By section: the name of a row -> what fal's page offers, and what it is here.
ROWS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Calls": {
        "subscribe": (
            "`fal_client.subscribe(app, arguments, with_logs=True, on_queue_update=…)`",
            "`PortraitTrainer.train(dataset, on_update=…)`",
        ),
        "submit": (
            "`fal_client.submit(app, arguments, webhook_url=…)` → `request_id`",
            "`PortraitTrainer.submit(dataset, webhook_url=…)` → the request id",
        ),
        "status": (
            "`fal_client.status(app, request_id, with_logs=True)`",
            "`PortraitTrainer.status(request_id)`, with the logs",
        ),
        "result": ("`fal_client.result(app, request_id)`", "`PortraitTrainer.result(request_id)`"),
        "upload_file": (
            "`fal_client.upload_file(path)` → URL",
            "`PortraitTrainer.upload(path)` → URL",
        ),
        "FAL_KEY": ("the key is in `FAL_KEY`", "the same; or the stack's secret"),
    },
    "Dataset": {
        "hosted URL": ("a hosted URL of a ZIP", "checked, and passed on as it is"),
        "uploaded URL": ("the URL of an uploaded file", "the same"),
        "data URI": ("`data:application/zip;base64,…`", "the same; and a path, a folder or bytes"),
        "captions": ("`image1.txt` beside `image1.jpg`", "the same, checked for its encoding"),
        "[trigger]": (
            "`[trigger]` in a caption is replaced by `trigger_phrase`",
            "passed on to fal; a phrase is made where none is given",
        ),
        "at least 10 images": ("at least 10 images", "fewer are refused before anything is paid"),
    },
    "Inputs": {
        "images_data_url": ("string, required", "the dataset, in any form"),
        "trigger_phrase": ("string, none", "the same; `TOK_` and 8 digits where none is given"),
        "learning_rate": ("float, 0.00009", "the same"),
        "steps": ("integer, 2500", "the same"),
        "multiresolution_training": ("boolean, true", "the same"),
        "subject_crop": ("boolean, true", "the same"),
        "data_archive_format": ("string, detected", "the same; `zip` is sent, for it was seen"),
        "resume_from_checkpoint": ("string (URL), empty", "the same; in a stack also a job's id"),
        "create_masks": ("boolean, false", "the same"),
    },
    "Output": {
        "diffusers_lora_file": ("File, 144,041,920 bytes in the page's example", "`result.lora`"),
        "config_file": ("File, 4,404 bytes in the page's example", "`result.config`"),
        "url": ("string", "`File.url`"),
        "content_type": ("string", "`File.content_type`"),
        "file_name": ("string, generated if not given", "`File.file_name`"),
        "file_size": ("integer, bytes", "`File.file_size`"),
        "file_data": ("string, the content", "`File.file_data`, in base64"),
    },
    "A trainer class (`examples/portrait_trainer_class.py`)": {
        "train_avatar": ("waits, logs the progress, returns the result", "the same name"),
        "train_avatar_async": ("with `webhook_url`, returns the request id", "the same name"),
        "check_training_status": ("by request id", "the same name"),
        "get_training_result": ("by request id", "the same name"),
        "upload_training_data": ("path → URL", "the same name"),
    },
    "An avatar service (`examples/avatar_service.py`)": {
        "start_training": ("`start_training(avatar_id: UUID, training_data_url)`", "the same name"),
        "TOK_ and 8 hex digits": ("trigger `TOK_` and the UUID's first 8 hex digits", "the same"),
        "1000 steps": ("1000 steps at 0.0002", "the same"),
        "crop and masks": ("`subject_crop` and `create_masks`", "the same"),
        "key on the server": (
            "the key never leaves the server: proxy calls",
            "a webhook receiver and an avatar service that run on the server (`examples/`)",
        ),
        "webhook receiver": (
            "an endpoint that takes the result",
            "`examples/fastapi_webhook.py`, verified with `webhooks.unwrap`",
        ),
    },
    "Advice": {
        "20 to 50 images": ("20 to 50 images are best", "a warning below 20"),
        "high resolution": ("high resolution, good light", "warnings for small and dark photos"),
        "different angles": ("angles, expressions and light that differ", "warnings for alike photos"),
        "detailed captions": ("detailed captions", "a warning where no photo has one"),
        "portraits": ("1000 to 2500 steps at 0.0001 to 0.0002", "preset `portrait`"),
        "styles": ("2000 to 4000 steps at 0.00005 to 0.0001", "preset `style`"),
        "fast": ("500 to 1000 steps at a higher rate", "preset `fast`"),
        "quality": ("3000 steps and more at a lower rate", "preset `quality`"),
    },
    "Errors": {
        "insufficient images": (
            "“insufficient images”",
            "`InsufficientImagesError`: At least 10 images are needed.",
        ),
        "invalid format": (
            "“invalid format”",
            "`InvalidArchiveError`: The archive must be a ZIP.",
        ),
        "any other error": ("passed on", "passed on with fal's words"),
    },
}  # fmt: skip
PROTOCOL = ("Calls", "Dataset", "Inputs", "Output", "Errors")  # what fal_client sends and gets
FAL_CLIENT = frozenset({"fal", "point_fal_client"})  # fixtures: fal_client at the simulator
HEAD = """# What fal's portrait trainer offers, here

Every row of [fal's page](https://fal.ai/models/fal-ai/flux-lora-portrait-trainer/api), what it is in lora-drop, and the tests that run
it against the simulator, over fal's HTTP protocol. Calls, dataset, inputs, output and errors are run by fal's own `fal_client` as well, which has to send and get
the same. This page is generated from the tests (`python -m lora_drop.dev.docs`); a row without such a test is an error.
"""


class ParityError(ValueError):
    """Raised when a row has no test, or a mark names no row."""


def parity_page(root: Path) -> str:
    """Return the page; raises ParityError."""
    tests = tests_by_row(root)
    lines = [HEAD]
    for section, rows in ROWS.items():
        lines += [f"## {section}", "", "| | at fal | here | tests |", "|---|---|---|---|"]
        for row, (there, here) in rows.items():
            named = ", ".join(f"`{test}`" for test in tests[row])
            lines.append(f"| {row} | {there} | {here} | {named} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def tests_by_row(root: Path) -> Mapping[str, list[str]]:
    """Return the tests of each row; raises ParityError."""
    found: dict[str, list[str]] = {row: [] for rows in ROWS.values() for row in rows}
    by_fal_client: set[str] = set()
    for file, test, marks in marked_tests(root, "parity"):
        name = f"{file}::{test.name}"
        if not file.startswith("tests/simulator/"):
            raise ParityError(f"{name} does not run against the simulator")
        for row in (row for mark in marks for row in mark):
            if row not in found:
                raise ParityError(f"{name} runs {row!r}, which is no row")
            found[row].append(name)
            if file.endswith("/test_fal_client.py") or FAL_CLIENT & _fixtures(test):
                by_fal_client.add(row)
    if missing := [row for row, tests in found.items() if not tests]:
        raise ParityError(f"no test runs {', '.join(missing)}")
    if missing := [row for name in PROTOCOL for row in ROWS[name] if row not in by_fal_client]:
        raise ParityError(f"no test runs {', '.join(missing)} by fal_client")
    return found


def _fixtures(test: TestFunction) -> set[str]:
    return {argument.arg for argument in test.args.args}
