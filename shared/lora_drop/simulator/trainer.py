"""fal's trainers: each refuses what fal's would refuse, takes its time, and writes a LoRA."""

import asyncio
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from lora_drop.simulator.dataset import Contents, look_into
from lora_drop.simulator.errors import FailedTrainingError, Outcome, details
from lora_drop.simulator.fault_table import Place
from lora_drop.simulator.faults import ActiveFault, Faults
from lora_drop.simulator.files import Incoming, PublicFile
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
from lora_drop.simulator.runner import MAX_LEDGER_URL, Runner
from lora_drop.simulator.training_log import preparation, ticks_of, training_line
from lora_drop.simulator.wire import now, stamp

WEIGHTS = "pytorch_lora_weights.safetensors"
CONFIG = "config.json"
DEBUG = "debug_preprocessed.zip"


class Trainer:
    """Works on one request at a time per call; the caller counts the slots."""

    def __init__(self, runner: Runner, *, faults: Faults, ledger: Ledger) -> None:
        self._runner = runner
        self._config = runner.config
        self._files = runner.files
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
            request.units = given.steps  # from here on it is billed
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
        row["url"] = url[:MAX_LEDGER_URL]
        try:
            await self._runner.fetch(request, url, into, (row["field"],))
        except FailedTrainingError as failure:
            self._record(into, row, error=str(failure.__cause__))
            raise

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
        field = rules_of(request.endpoint_id).dataset_field
        await self._runner.fail_on_request(request, fault, field_name=field)

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
        return {name: self._runner.described(request, file) for name, file in outputs.items()}

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
        return self._runner.write(request, CONFIG, "application/json", content)

    def _write_debug(self, request: ModelRequest, found: Contents) -> PublicFile:
        """What the trainer made of the dataset; here, which photos it has seen."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("photos.txt", "\n".join(found.photos))
        return self._runner.write(request, DEBUG, "application/zip", buffer.getvalue())


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
