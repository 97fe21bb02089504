"""fal's trainers: each refuses what fal's would refuse, takes its time, and writes a LoRA."""

import asyncio
import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiohttp

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.dataset import Contents, DatasetDownloadError, download, look_into
from lora_drop.simulator.errors import (
    FailedTrainingError,
    Outcome,
    details,
    documented_error,
    model_error,
)
from lora_drop.simulator.faults import ActiveFault, Faults, Place
from lora_drop.simulator.files import Incoming, PublicFile, PublicFiles
from lora_drop.simulator.inputs import (
    CaptionedBase,
    Input,
    PhrasedInput,
    PortraitInput,
    read_input,
    rules_of,
)
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.lora import write_lora
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.training_log import preparation, ticks_of, training_line
from lora_drop.simulator.wire import now, stamp

MAX_LEDGER_URL = 2000  # a data URI can be the whole dataset
WEIGHTS = "pytorch_lora_weights.safetensors"
CONFIG = "config.json"
DEBUG = "debug_preprocessed.zip"


class Trainer:
    """Works on one request at a time per call; the caller counts the slots."""

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        session: aiohttp.ClientSession,
        files: PublicFiles,
        faults: Faults,
        ledger: Ledger,
    ) -> None:
        self._config = config
        self._session = session
        self._files = files
        self._faults = faults
        self._ledger = ledger

    async def train(self, request: ModelRequest) -> Outcome:
        """How the training ended; it is real from the download to the file."""
        fault = self._faults.take(
            Place.TRAINING, request_id=request.request_id, endpoint_id=request.endpoint_id
        )
        try:
            given = read_input(rules_of(request.endpoint_id), request.arguments)
            found = await self._fetch_dataset(request, given)
            await self._fetch_checkpoint(request, given)
            await self._work(request, given.steps, len(found.photos), fault)
            output = await self._write(request, given, found)
            request.steps = given.steps  # from here on it is billed
            return Outcome(200, output)
        except FailedTrainingError as failure:
            request.log(f"Training failed: {failure}", "ERROR")
            return failure.outcome

    async def _fetch_dataset(self, request: ModelRequest, given: Input) -> Contents:
        rules = rules_of(request.endpoint_id)
        field = rules.dataset_field
        with self._files.incoming("dataset") as archive:
            row = {"request_id": request.request_id, "field": field}
            await self._fetch(request, getattr(given, field), archive, row)
            try:
                found = await asyncio.to_thread(
                    look_into, archive.path, rules, min_images=self._config.min_images
                )
                _check_captions(given, found)
            except FailedTrainingError as failure:
                self._record(archive, row, error=failure.outcome.error_type)
                raise
        images = len(found.photos)
        self._record(archive, row, images=images)
        request.log(f"Found {images} images")
        return found

    async def _fetch_checkpoint(self, request: ModelRequest, given: Input) -> None:
        if isinstance(given, PortraitInput) and given.resume_from_checkpoint:
            with self._files.incoming("checkpoint") as file:
                row = {"request_id": request.request_id, "field": "resume_from_checkpoint"}
                await self._fetch(request, given.resume_from_checkpoint, file, row)
                self._record(file, row)

    async def _fetch(
        self, request: ModelRequest, url: str, into: Incoming, row: dict[str, Any]
    ) -> None:
        # fal's toolkit prints the whole URL, so a presigned one can be read in the logs.
        shown = row["url"] = url[:MAX_LEDGER_URL]
        request.log(f"Downloading {shown} to {into.path.name}")
        try:
            await download(self._session, url, into)
        except DatasetDownloadError as failure:
            self._record(into, row, error=str(failure))
            raise FailedTrainingError(
                model_error("file_download_error", field_name=row["field"], given=url)
            ) from failure
        finally:
            into.close()

    def _record(
        self,
        file: Incoming,
        row: Mapping[str, Any],
        *,
        images: int | None = None,
        error: str | None = None,
    ) -> None:
        self._ledger.dataset(**row, bytes=file.size, sha256=file.sha256, images=images, error=error)

    async def _work(
        self, request: ModelRequest, steps: int, images: int, fault: ActiveFault | None
    ) -> None:
        settings = fault.settings if fault else {}
        seconds = settings.get("seconds", self._config.training_seconds)
        request.log("Loading model weights...")
        for line in preparation(images):
            request.log(line, "STDERR")
        ticks, done = ticks_of(seconds), 0
        for tick in range(1, ticks + 1):
            await asyncio.sleep(seconds / ticks)
            before, done = done, steps * tick // ticks
            line = training_line(done, steps, seconds * tick / ticks, before=before)
            request.log(line, "STDERR")
        if settings.get("stuck"):
            await asyncio.Event().wait()
        if "type" in settings:
            request.billable_units = settings["billable_units"]
            request.units_told = settings["units_told"]
            failure = documented_error(
                settings["type"],
                field_name=rules_of(request.endpoint_id).dataset_field,
                status=settings["status"],
                message=settings["detail"],
            )
            raise FailedTrainingError(failure)

    async def _write(self, request: ModelRequest, given: Input, found: Contents) -> dict[str, Any]:
        """The trainer's outputs. What is in a LoRA for another model than FLUX.1 is not its own."""
        request.log("Saving weights")
        path = self._files.new_path(WEIGHTS)
        lora = await asyncio.to_thread(
            write_lora,
            self._files.place(path),
            rank=self._config.lora_rank,
            seed=request.request_id,
            metadata={"format": "pt", "request_id": request.request_id},
        )
        weights = PublicFile(
            path=path,
            on_disk=lora.path,
            name=WEIGHTS,
            content_type="application/octet-stream",
            size=lora.size,
            sha256=lora.sha256,
            request_id=request.request_id,
            endpoint_id=request.endpoint_id,
        )
        rules = rules_of(request.endpoint_id)
        outputs = {
            rules.weights: weights,
            "config_file": self._write_config(request, given, found),
        }
        if rules.debug_output:
            outputs["debug_preprocessed_output"] = self._write_debug(request, found)
        return {name: self._publish(request, file) for name, file in outputs.items()}

    def _write_config(self, request: ModelRequest, given: Input, found: Contents) -> PublicFile:
        hidden = {rules_of(request.endpoint_id).dataset_field, "resume_from_checkpoint"}
        document = {
            "trainer": request.endpoint_id,
            "rank": self._config.lora_rank,
            "dtype": "bfloat16",
            "images": len(found.photos),
            "finished_at": stamp(now()),
            **given.model_dump(exclude=hidden),
        }
        content = json.dumps(document, indent=2).encode()
        return self._write_file(request, CONFIG, "application/json", content)

    def _write_debug(self, request: ModelRequest, found: Contents) -> PublicFile:
        """What the trainer made of the dataset; here, which photos it has seen."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("photos.txt", "\n".join(found.photos))
        return self._write_file(request, DEBUG, "application/zip", buffer.getvalue())

    def _write_file(
        self, request: ModelRequest, name: str, content_type: str, content: bytes
    ) -> PublicFile:
        with self._files.incoming(name) as file:
            file.write(content)
            path = self._files.new_path(name)
            published = self._files.publish(file, path, name, content_type)
        return published.of(request.request_id, request.endpoint_id)

    def _publish(self, request: ModelRequest, file: PublicFile) -> dict[str, Any]:
        """The file as the trainer's output names it."""
        if request.files_for is not None:
            file = replace(file, expires_at=now() + timedelta(seconds=request.files_for))
        self._files.add(file)
        request.file_paths.append(file.path)
        published: dict[str, Any] = {
            "url": self._files.url(file.path),
            "content_type": file.content_type,
            "file_name": file.name,
            "file_size": file.size,
        }
        if self._config.file_data:
            content = file.on_disk.read_bytes()
            published["file_data"] = base64.b64encode(content).decode()
        return published


def _check_captions(given: Input, found: Contents) -> None:
    """Refuse a photo that has no caption at all: 422 by some, and by others "the training will fail"."""
    match given:
        case CaptionedBase():
            field, said = "default_caption", given.default_caption
        case PhrasedInput():
            field, said = "trigger_phrase", given.trigger_phrase
        case _:
            return
    if said or not found.without_caption:
        return
    row = {
        "loc": ["body", field],
        "msg": f"No caption for {found.without_caption[0]} and no {field}",
        "type": "value_error",
    }
    raise FailedTrainingError(details(422, [row]))
