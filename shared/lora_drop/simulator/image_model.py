"""fal's ``fal-ai/flux-lora``: it loads the LoRAs that it is given, takes its time, and returns real pictures."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lora_drop.simulator.config import photos_in
from lora_drop.simulator.drawing import FORMATS, blackened, drawn, encoded, photo
from lora_drop.simulator.errors import FailedTrainingError, Outcome, details
from lora_drop.simulator.fault_table import Place
from lora_drop.simulator.faults import ActiveFault, Faults
from lora_drop.simulator.image_inputs import FluxLoraInput, read_image_input
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.lora import is_safetensors
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.runner import MAX_LEDGER_URL, Runner
from lora_drop.simulator.training_log import bar

FIELD = "prompt"  # what an error that is made on request speaks of


class ImageModel:
    """Works on one request at a time per call; the caller counts the slots."""

    def __init__(self, runner: Runner, *, faults: Faults, ledger: Ledger) -> None:
        self._runner = runner
        self._faults = faults
        self._ledger = ledger

    async def generate(self, request: ModelRequest) -> Outcome:
        """How the request ended; it is real from the download of the LoRAs to the pictures."""
        fault = self._faults.take(
            Place.TRAINING, request_id=request.request_id, endpoint_id=request.endpoint_id
        )
        try:
            given = read_image_input(request.arguments)
            loaded = [
                await self._load(request, number, lora.path)
                for number, lora in enumerate(given.loras)
            ]
            seconds = await self._work(request, given, fault)
            output = await self._pictures(request, given, first=_first_photo(loaded))
        except FailedTrainingError as failure:
            request.log(f"Generation failed: {failure}", "ERROR")
            return failure.outcome
        request.units = given.megapixels  # from here on it is billed
        request.output_kept = not given.sync_mode
        output["timings"] = {"inference": seconds}
        return Outcome(HTTPStatus.OK, output)

    async def _load(self, request: ModelRequest, number: int, url: str) -> str:
        """Download a LoRA, look whether it is one, and return its SHA-256."""
        place = ("loras", number, "path")
        refusal: Outcome | None = None
        with self._runner.files.incoming("lora") as file:
            try:
                await self._runner.fetch(request, url, file, place)
            except FailedTrainingError as failure:
                refusal = failure.outcome
            else:
                if not await asyncio.to_thread(is_safetensors, file.path):
                    refusal = _no_lora(place)
            self._ledger.lora(
                request_id=request.request_id,
                field=f"loras[{number}].path",
                url=url[:MAX_LEDGER_URL],
                bytes=file.size,
                sha256=file.sha256,
                error=refusal and refusal.error_type,
            )
        if refusal is not None:
            raise FailedTrainingError(refusal)
        return file.sha256

    async def _work(
        self, request: ModelRequest, given: FluxLoraInput, fault: ActiveFault | None
    ) -> float:
        """Take the time of a picture, and return it in seconds."""
        settings = fault.settings if fault else {}
        seconds = float(settings.get("seconds", self._runner.config.picture_seconds))
        await asyncio.sleep(seconds)
        steps = given.num_inference_steps
        request.log(f"\r{bar('', steps, steps, seconds).removeprefix(': ')}", "STDERR")
        await self._runner.fail_on_request(request, fault, field_name=FIELD)
        return seconds

    async def _pictures(
        self, request: ModelRequest, given: FluxLoraInput, *, first: int
    ) -> dict[str, Any]:
        """The model's output, without its timings; ``first`` is the photo of seed 0, where there is a folder of them."""
        seed = _seed(request) if given.seed is None else given.seed
        black = given.enable_safety_checker and self._fault(Place.SAFETY, request) is not None
        chosen = self._fault(Place.PICTURE, request)
        folder = chosen.settings["folder"] if chosen else self._runner.config.pictures
        made = await asyncio.to_thread(
            lambda: list(
                _made(given, seed, folder=folder and Path(folder), first=first, black=black)
            )
        )
        return {
            "images": [self._described(request, given, content) for content in made],
            "seed": seed,
            "has_nsfw_concepts": [black] * given.num_images,
            "prompt": given.prompt,
        }

    def _fault(self, place: Place, request: ModelRequest) -> ActiveFault | None:
        return self._faults.take(
            place, request_id=request.request_id, endpoint_id=request.endpoint_id
        )

    def _described(
        self, request: ModelRequest, given: FluxLoraInput, content: bytes
    ) -> dict[str, Any]:
        """Return fal's ``Image`` of a picture; with ``sync_mode`` its address holds the picture itself."""
        _, content_type, extension = FORMATS[given.output_format]
        if given.sync_mode:
            url = f"data:{content_type};base64,{base64.b64encode(content).decode()}"
        else:
            name = f"{hashlib.sha256(content).hexdigest()[:32]}.{extension}"
            url = self._runner.publish(
                request, self._runner.write(request, name, content_type, content)
            )
        width, height = given.size
        return {"url": url, "width": width, "height": height, "content_type": content_type}


def _made(
    given: FluxLoraInput, seed: int, *, folder: Path | None, first: int, black: bool
) -> Iterator[bytes]:
    photos = photos_in(folder) if folder else []
    for number in range(given.num_images):
        if black:
            image = blackened(given.size)
        elif photos:
            image = photo(photos[(first + seed + number) % len(photos)], given.size)
        else:
            image = drawn(given.size, prompt=given.prompt, seed=seed, number=number)
        yield encoded(image, given.output_format)


def _first_photo(loras: Sequence[str]) -> int:
    """Return another place to begin in a folder for each LoRA, by its SHA-256; 0 without one."""
    return int(loras[0], 16) if loras else 0


def _seed(request: ModelRequest) -> int:
    """A seed of 64 bits: fal's can be more than a signed number of 64 bits holds."""
    return int.from_bytes(hashlib.sha256(request.request_id.encode()).digest()[:8])


def _no_lora(place: tuple[str | int, ...]) -> Outcome:
    # fal does not say how it refuses a file that is no LoRA.
    row = {
        "loc": ["body", *place],
        "msg": "The file is not in the safetensors format",
        "type": "value_error",
    }
    return details(HTTPStatus.UNPROCESSABLE_ENTITY, [row])
