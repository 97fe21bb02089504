"""What every model of the simulator does alike: it downloads its inputs, publishes its outputs, and fails on request."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import aiohttp

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.dataset import DatasetDownloadError, download
from lora_drop.simulator.errors import FailedTrainingError, documented_error, model_error
from lora_drop.simulator.faults import ActiveFault
from lora_drop.simulator.files import Incoming, PublicFile, PublicFiles
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.wire import now

MAX_LEDGER_URL = 2000  # a data URI can be the whole dataset


@dataclass(frozen=True, slots=True)
class Runner:
    """The machine that a model runs on."""

    config: SimulatorConfig
    session: aiohttp.ClientSession
    files: PublicFiles

    async def fetch(
        self, request: ModelRequest, url: str, into: Incoming, place: Sequence[str | int]
    ) -> None:
        """Download an input; raises FailedTrainingError that names its place in the input."""
        # fal's toolkit prints the whole URL, so a presigned one can be read in the logs.
        request.log(f"Downloading {url[:MAX_LEDGER_URL]} to {into.path.name}")
        try:
            await download(self.session, url, into)
        except DatasetDownloadError as failure:
            raise FailedTrainingError(
                model_error("file_download_error", field_name=place, given=url)
            ) from failure
        finally:
            into.close()

    async def fail_on_request(
        self, request: ModelRequest, fault: ActiveFault | None, *, field_name: str
    ) -> None:
        """Never end, or raise FailedTrainingError, where the fault says so."""
        settings = fault.settings if fault else {}
        if settings.get("stuck"):
            await asyncio.Event().wait()
        if "type" in settings:
            request.billable_units = settings["billable_units"]
            request.units_told = settings["units_told"]
            failure = documented_error(
                settings["type"],
                field_name=field_name,
                status=settings["status"],
                message=settings["detail"],
            )
            raise FailedTrainingError(failure)

    def write(
        self, request: ModelRequest, name: str, content_type: str, content: bytes
    ) -> PublicFile:
        """Write an output, which is not served yet."""
        with self.files.incoming(name) as file:
            file.write(content)
            path = self.files.new_path(name)
            published = self.files.publish(file, path, name, content_type)
        return published.of(request.request_id, request.endpoint_id)

    def publish(self, request: ModelRequest, file: PublicFile) -> str:
        """Serve an output as one of this request, and return its address."""
        if request.files_for is not None:
            file = replace(file, expires_at=now() + timedelta(seconds=request.files_for))
        self.files.add(file)
        request.file_paths.append(file.path)
        return self.files.url(file.path)

    def described(self, request: ModelRequest, file: PublicFile) -> dict[str, Any]:
        """Serve an output, and return fal's ``File`` of it."""
        described: dict[str, Any] = {
            "url": self.publish(request, file),
            "content_type": file.content_type,
            "file_name": file.name,
            "file_size": file.size,
        }
        if self.config.file_data:
            content = file.on_disk.read_bytes()
            described["file_data"] = base64.b64encode(content).decode()
        return described
