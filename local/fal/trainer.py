"""The portrait trainer: refuses what fal's would refuse, takes its time, and writes a LoRA."""

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from local.fal.clock import now, stamp
from local.fal.config import SimulatorConfig
from local.fal.dataset import DownloadFailed, count_images, download
from local.fal.errors import (
    ERRORS_URL,
    Outcome,
    TrainingFailed,
    details,
    documented_error,
    model_error,
)
from local.fal.faults import ActiveFault, Faults, Place
from local.fal.files import Incoming, PublicFile, PublicFiles
from local.fal.ledger import Ledger
from local.fal.lora import write_lora
from local.fal.requests import ModelRequest

TICKS = 20  # lines of progress
MAX_LEDGER_URL = 2000  # a data URI can be the whole dataset
WEIGHTS = "pytorch_lora_weights.safetensors"
CONFIG = "config.json"


class TrainerInput(BaseModel):
    """The trainer's input (facts of ``fal-ai/flux-lora-portrait-trainer``); other keys are ignored."""

    images_data_url: str
    trigger_phrase: str | None = None
    learning_rate: Annotated[float, Field(ge=0.000001, le=0.001)] = 0.00009
    steps: Annotated[int, Field(ge=1, le=10_000)] = 2500
    multiresolution_training: bool = True
    subject_crop: bool = True
    create_masks: bool = False
    data_archive_format: str | None = None
    resume_from_checkpoint: str = ""


def read_input(arguments: Any) -> TrainerInput:
    """The input, or TrainingFailed with pydantic's details in fal's form."""
    try:
        return TrainerInput.model_validate(arguments)
    except ValidationError as error:
        rows = [_detail(row) for row in error.errors(include_url=False)]
        raise TrainingFailed(details(422, rows)) from error


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
            given = read_input(request.arguments)
            images = await self._fetch_dataset(request, given)
            await self._fetch_checkpoint(request, given)
            await self._work(request, given.steps, fault)
            output = await self._write(request, given, images)
            request.steps = given.steps  # from here on it is billed
            return Outcome(200, output)
        except TrainingFailed as failure:
            request.log(f"Training failed: {failure}", "ERROR")
            return failure.outcome

    async def _fetch_dataset(self, request: ModelRequest, given: TrainerInput) -> int:
        with self._files.incoming("dataset") as archive:
            row = {"request_id": request.request_id, "field": "images_data_url"}
            await self._fetch(request, given.images_data_url, archive, row)
            try:
                images = await asyncio.to_thread(
                    count_images, archive.path, min_images=self._config.min_images
                )
            except TrainingFailed as failure:
                self._record(archive, row, error=failure.outcome.error_type)
                raise
        self._record(archive, row, images=images)
        request.log(f"Found {images} images")
        return images

    async def _fetch_checkpoint(self, request: ModelRequest, given: TrainerInput) -> None:
        if given.resume_from_checkpoint:
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
        except DownloadFailed as failure:
            self._record(into, row, error=str(failure))
            raise TrainingFailed(
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

    async def _work(self, request: ModelRequest, steps: int, fault: ActiveFault | None) -> None:
        settings = fault.settings if fault else {}
        seconds = settings.get("seconds", self._config.training_seconds)
        request.log("Loading model weights...")
        for tick in range(1, TICKS + 1):
            await asyncio.sleep(seconds / TICKS)
            done = steps * tick // TICKS
            loss = 0.5 - 0.3 * tick / TICKS
            request.log(f"Training: {100 * tick // TICKS}% | {done}/{steps} steps, loss={loss:.4f}")
        if settings.get("stuck"):
            await asyncio.Event().wait()
        if "type" in settings:
            request.billable_units = settings["billable_units"]
            request.units_told = settings["units_told"]
            status, message = settings["status"], settings["detail"]
            raise TrainingFailed(documented_error(settings["type"], status=status, message=message))

    async def _write(
        self, request: ModelRequest, given: TrainerInput, images: int
    ) -> dict[str, Any]:
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
        config = self._write_config(request, given, images)
        return {
            "diffusers_lora_file": self._publish(request, weights),
            "config_file": self._publish(request, config),
        }

    def _write_config(self, request: ModelRequest, given: TrainerInput, images: int) -> PublicFile:
        document = {
            "base_model": "black-forest-labs/FLUX.1-dev",
            "rank": self._config.lora_rank,
            "dtype": "bfloat16",
            "images": images,
            "finished_at": stamp(now()),
            **given.model_dump(exclude={"images_data_url", "resume_from_checkpoint"}),
        }
        with self._files.incoming(CONFIG) as file:
            file.write(json.dumps(document, indent=2).encode())
            path = self._files.new_path(CONFIG)
            return self._files.publish(file, path, CONFIG, "application/json").of(
                request.request_id, request.endpoint_id
            )

    def _publish(self, request: ModelRequest, file: PublicFile) -> dict[str, Any]:
        """The file as the trainer's output names it."""
        self._files.add(file)
        request.file_paths.append(file.path)
        return {
            "url": self._files.url(file.path),
            "content_type": file.content_type,
            "file_name": file.name,
            "file_size": file.size,
        }


def _detail(row: Any) -> dict[str, Any]:
    """A row of pydantic's as fal shows it: some types are fal's own, with a page of their own."""
    if row["type"] == "missing":
        # The form in fal's documented webhook example.
        return {
            "loc": ["body", *row["loc"]],
            "msg": "field required",
            "type": "value_error.missing",
        }
    detail = {
        "loc": ["body", *row["loc"]],
        "msg": row["msg"],
        "type": row["type"],
        "url": ERRORS_URL + row["type"],
        "input": row["input"],
    }
    return {**detail, "ctx": row["ctx"]} if "ctx" in row else detail
