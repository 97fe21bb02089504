"""What callers of the jobs API send to bring a dataset and to order a training."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lora_drop.jobs.errors import InvalidQueryError

MAX_ARCHIVE = 2**32 - 1  # bytes; the check takes none of 4 GiB, and a form of S3 no more than 5 GB
MAX_URL = 2000
MAX_PARAMETERS = 100  # each unknown one is compared with all that there are
IDEMPOTENCY_KEY = "idempotency-key"
IDEMPOTENCY_KEY_FORM = r"^[!-~]{1,128}$"

type ParameterValue = bool | int | float | str
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
HttpsUrl = Annotated[str, Field(pattern=r"^https://[!-~]+$", max_length=MAX_URL)]


class ApiRequest(BaseModel):
    """A JSON body; a misspelt field or another type is refused, and an error never repeats what was sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class TrainingRequest(ApiRequest):
    """What becomes the metadata of a dataset: how it is trained, and how its owner calls it."""

    name: FileName = Field(
        default="dataset.zip", description="the file's name; the job's id begins with it"
    )
    parameters: Mapping[str, ParameterValue] = Field(
        default={},
        max_length=MAX_PARAMETERS,
        description="the trainer's inputs, trainer and preset (docs/trainers.md)",
    )
    reference: str | None = Field(
        default=None, max_length=200, description="your own name for the job, returned with it"
    )
    notify_url: HttpsUrl | None = Field(
        default=None, description="where the changes of this job are sent, if the stack allows it"
    )
    force: bool = Field(
        default=False, description="train it even if the same content was trained before"
    )
    proof: bool | None = Field(
        default=None,
        description="whether pictures are made with the LoRA, which are paid; null leaves it to the stack",
    )


class DatasetRequest(TrainingRequest):
    """The body of ``POST /datasets``; it may be left out."""

    size: int | None = Field(
        default=None, ge=1, le=MAX_ARCHIVE, description="the ZIP's exact size in bytes"
    )

    @classmethod
    def parse(cls, body: str | None) -> Self:
        """Return the order; raises InvalidQueryError."""
        try:
            return cls.model_validate_json(body or "{}")
        except ValidationError as error:
            raise InvalidQueryError(_wrong(error)) from error


class StoredDatasetRequest(ApiRequest):
    """The body of ``POST /jobs`` for a dataset that lies in the datasets bucket."""

    key: str = Field(min_length=1, max_length=1024, description="the key of the uploaded ZIP")
    version_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="the version of the object; without one the newest",
    )


class FetchedDatasetRequest(TrainingRequest):
    """The body of ``POST /jobs`` for a dataset that the stack fetches from an address."""

    url: HttpsUrl = Field(
        description="where the ZIP is, on a host of the stack's DatasetHosts; it may hold a signature"
    )


def parse_job_request(body: str | None) -> StoredDatasetRequest | FetchedDatasetRequest:
    """Return the order of ``POST /jobs``: by its key where one is given, else from its address; raises InvalidQueryError."""
    try:
        given = json.loads(body or "")
    except (ValueError, RecursionError):
        given = None
    fetched = isinstance(given, dict) and "url" in given
    try:
        model = FetchedDatasetRequest if fetched else StoredDatasetRequest
        return model.model_validate_json(body or "")
    except ValidationError as error:
        raise InvalidQueryError(_wrong(error)) from error


def idempotency_key_of(headers: Mapping[str, str]) -> str | None:
    """Return the header Idempotency-Key (IETF draft "The Idempotency-Key HTTP Header Field"), None without one.

    Raises InvalidQueryError.
    """
    given = next((v for name, v in headers.items() if name.lower() == IDEMPOTENCY_KEY), None)
    if given is not None and not re.fullmatch(IDEMPOTENCY_KEY_FORM, given):
        raise InvalidQueryError("Idempotency-Key: it takes 1 to 128 printable characters of ASCII")
    return given


def _wrong(error: ValidationError) -> str:
    """Return what is wrong with each field, on one line and without what was sent."""
    rows = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, row['loc'])) or 'body'}: {row['msg']}" for row in rows)
