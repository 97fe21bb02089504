"""What a person is told when something stands in a job's way."""

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """One reason, with a stable code and a sentence that says what to do."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    member: str | None = None
