"""What callers of the jobs API send to bring a dataset and to order a training."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lora_drop.jobs.errors import InvalidQueryError

MAX_ARCHIVE = 2**32 - 1  # bytes; the check takes no ZIP64, and a form of S3 no more than 5 GB
MAX_URL = 2000
MAX_PARAMETERS = 100  # each unknown one is compared with all that there are
NO_URL = (
    "url: a stack fetches nothing from addresses that callers name. Download the ZIP, upload it with the form "
    "that POST /datasets returns, and give its key"
)

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


def parse_job_request(body: str | None) -> StoredDatasetRequest:
    """Return the order of ``POST /jobs``; raises InvalidQueryError, also for an address to fetch a dataset from."""
    try:
        return StoredDatasetRequest.model_validate_json(body or "")
    except ValidationError as error:
        if any(row["loc"] == ("url",) for row in error.errors(include_input=False)):
            raise InvalidQueryError(NO_URL) from error
        raise InvalidQueryError(_wrong(error)) from error


def _wrong(error: ValidationError) -> str:
    """Return what is wrong with each field, on one line and without what was sent."""
    rows = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, row['loc'])) or 'body'}: {row['msg']}" for row in rows)
