"""``lora-drop fal-sim``: a simulator as a program."""

import json
import shlex
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from lora_drop.simulator.config import KEY, Access, SimulatorConfig


def fal_sim(  # noqa: PLR0913 -- one parameter is one option
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="Folder for keys and files; else a temporary one.")
    ] = None,
    training_seconds: Annotated[float, typer.Option(help="How long a training takes.")] = 3.0,
    picture_seconds: Annotated[float, typer.Option(help="How long a picture takes.")] = 1.0,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of photos to answer with; else pictures are drawn.")
    ] = None,
    lora_rank: Annotated[int, typer.Option(min=1, help="Rank of the LoRAs.")] = 16,
    key: Annotated[str, typer.Option(help="The key that is accepted.")] = KEY,
    key_scope: Annotated[str, typer.Option(help="What it may do: API or ADMIN.")] = "ADMIN",
    user_id: Annotated[str, typer.Option(help="The user that webhooks name.")] = "user_local",
    max_in_progress: Annotated[int, typer.Option(min=1, help="Trainings at once.")] = 2,
    min_images: Annotated[int, typer.Option(help="Images a dataset needs.")] = 10,
    result_retention: Annotated[float, typer.Option(help="Seconds a result is kept.")] = 3600.0,
    webhook_backoff: Annotated[float, typer.Option(help="Seconds before the first retry.")] = 1.0,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON line when ready.")] = False,
) -> None:
    """Speak fal's protocol on this machine: train, make pictures, call back, and fail on request.

    Prints the settings that point a program here, as lines for a shell, then serves until it is interrupted.
    """
    import asyncio  # noqa: PLC0415  # --help does without

    try:
        config = SimulatorConfig(
            host=host,
            port=port,
            state=state,
            key=key,
            key_scope=key_scope,
            user_id=user_id,
            training_seconds=training_seconds,
            picture_seconds=picture_seconds,
            pictures=pictures,
            lora_rank=lora_rank,
            max_in_progress=max_in_progress,
            min_images=min_images,
            result_retention=result_retention,
            webhook_backoff=webhook_backoff,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="fal-simulator-") as temporary:
        asyncio.run(_serve(config, state or Path(temporary), json_output=json_output))


async def _serve(config: SimulatorConfig, state: Path, *, json_output: bool) -> None:
    import asyncio  # noqa: PLC0415

    from lora_drop.simulator.simulator import Simulator  # noqa: PLC0415  # needs the extra `local`

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    simulator = Simulator(config, state)
    try:
        await asyncio.to_thread(state.mkdir, parents=True, exist_ok=True)
        access = await simulator.start()
    except OSError as error:
        typer.echo(_not_started(config, state, error), err=True)
        raise typer.Exit(1) from error
    try:
        typer.echo(_json_line(access) if json_output else _settings(access))
        await stopping.wait()
    finally:
        await simulator.stop()


def _json_line(access: Access) -> str:
    return json.dumps(
        {
            "url": access.url,
            "ca_file": str(access.ca_file),
            "user_id": access.user_id,
            "key": access.key,
            "host": access.host,
            "port": access.port,
        }
    )


def _settings(access: Access) -> str:
    settings = access.environment().items()
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in settings)


def _not_started(config: SimulatorConfig, state: Path, error: OSError) -> str:
    if error.filename is not None:
        return f"cannot keep keys and files in {state}: {error.strerror}"
    return f"cannot listen on {config.host} port {config.port}: {error.strerror}"
