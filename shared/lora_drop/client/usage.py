"""How a trained LoRA is used: the programs for fal and for diffusers, and the address from which fal fetches it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError

from lora_drop.client.errors import CommandError
from lora_drop.client.result_files import LORA
from lora_drop.client.stack import MAKING, Stack
from lora_drop.fal.inference import diffusers_program, fal_program, inference_of
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE


def weights_of(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the LoRA among a job's files; None where it has none."""
    return next((each for each in job["files"] if each["name"] == LORA), None)


def job_usage(
    stack: Stack, job: Mapping[str, Any], *, here: str, hours: int | None
) -> dict[str, Any]:
    """Return both programs for a job's LoRA, with the address of it that is signed for ``hours``.

    Without ``hours``, and of an emulated stack, fal gets the LoRA from the file ``here``. Raises CommandError for a
    job without a LoRA, and for a trainer whose use is not known.
    """
    weights = weights_of(job)
    if weights is None:
        raise CommandError(
            f"{job['job_id']} is {job['status']} and has no LoRA. See why: lora-drop job {job['job_id']}"
        )
    phrase = str((job["parameters"] or {}).get(TRIGGER_PHRASE) or "")
    emulated = stack.endpoint_url or os.environ.get(
        "AWS_ENDPOINT_URL"
    )  # no address that fal could reach
    url = None if hours is None or emulated else _address(stack, weights, hours)
    fetch = f"lora-drop download {job['job_id']}"
    found = programs(job["application"], phrase, here, url, fetch)
    return {"job_id": job["job_id"], "url": url, "hours": hours if url else None, **found}


def request_usage(subject: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """Return the same of a training without a stack, whose LoRA lies in a folder here."""
    here, name = str(file or subject["here"]), subject["name"]
    found = programs(
        subject["application"], subject["phrase"], here, None, f"lora-drop watch {name}"
    )
    return {"request_id": name, "url": None, "hours": None, **found}


def programs(
    application: str, phrase: str, here: str, url: str | None, fetch: str
) -> dict[str, Any]:
    """Return both programs and what they are for; raises CommandError for a trainer whose use is not known."""
    inference = inference_of(application)
    if inference is None:
        raise CommandError(
            f"Where a LoRA of {application} is used is not known here; its page says it: "
            f"https://fal.ai/models/{application}. Fetch the LoRA: {fetch}"
        )
    return {
        "trigger_phrase": phrase or None,
        "file": here,
        "fal_application": inference.application,
        "base_model": inference.base_model,
        "fal": fal_program(inference, phrase, url=url, file=here),
        "diffusers": diffusers_program(inference, phrase, file=here),
    }


def _address(stack: Stack, weights: Mapping[str, Any], hours: int) -> str:
    """Return an address of the LoRA that needs no credentials; signed on this machine, so S3 is not asked."""
    named = {"Bucket": weights["bucket"], "Key": weights["key"]}
    try:
        # Signature Version 4, which encrypted buckets ask for (S3, "Download and upload objects with presigned URLs").
        with MAKING:
            s3 = stack.session.client("s3", config=Config(signature_version="s3v4"))
        return str(s3.generate_presigned_url("get_object", Params=named, ExpiresIn=hours * 3600))
    except BotoCoreError as error:
        raise CommandError(f"The LoRA's address could not be signed: {error}.") from error
