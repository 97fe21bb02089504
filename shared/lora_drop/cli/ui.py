"""`lora-drop ui`: the page, over a stack or with a fal key alone, until it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lora_drop.cli.terminal import NoFaces, StackName, reporting, write_line
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from lora_drop.cli.display import Display

DRAFTS, OPENING = "drafts", "opening"  # in the user's data folder


def ui(
    *,
    stack: StackName = None,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Without a stack: train at fal with your FAL_KEY."),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1024,
            max=65535,
            help="Port on 127.0.0.1; else a free one, new each time. At a known one, other programs of this machine "
            "may have left scripts in the browser.",
        ),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address and open no browser.")
    ] = False,
    no_faces: NoFaces = False,
) -> None:
    """Open a page in the browser: drop photos, look at them, see the price, train, follow the jobs.

    The page is on this machine alone, and photos leave it when you press Train. The printed address works once; the
    browser that opens it first stays in until it is closed. Ctrl-C ends the page, and no job.
    """
    from lora_drop.cli.usage import in_browser
    from lora_drop.jobs.errors import LoraDropError
    from lora_drop.local.tools import data_folder
    from lora_drop.ui.opening import Opening
    from lora_drop.ui.server import serve

    with reporting() as display:
        try:
            serve(
                lambda: _application(stack, display, direct=direct, no_faces=no_faces),
                port=port,
                opening=None if no_open else Opening(data_folder() / OPENING, in_browser),
                say=write_line,
            )
        except CommandError:
            raise
        except LoraDropError as failed:
            raise CommandError(str(failed)) from failed


@contextmanager
def _application(
    stack: str | None, display: Display, *, direct: bool, no_faces: bool
) -> Iterator[ASGIApp]:
    """The page and what it needs, which ends with it; says where faces are not looked for."""
    from lora_drop.client.face_check import EXTRA_MISSING, lacks_extra
    from lora_drop.local.tools import data_folder
    from lora_drop.ui.app import make_app
    from lora_drop.ui.backends import backend_of
    from lora_drop.ui.drafts import Drafts
    from lora_drop.ui.workers import Workers

    with (
        closing(backend_of(stack, direct=direct, no_faces=no_faces)) as backend,
        closing(Workers()) as workers,
        closing(
            Drafts(data_folder() / DRAFTS, workers, backend.application, backend.faces)
        ) as drafts,
    ):
        if lacks_extra(backend.faces):
            display.say(EXTRA_MISSING)
        drafts.tidy(datetime.now(UTC))
        yield make_app(backend, drafts)
