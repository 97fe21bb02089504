"""The right to copy a job's files."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Lease(BaseModel):
    """Who copies a job's files now, and until when; ``fence`` grows with every lease of the job."""

    model_config = ConfigDict(frozen=True)

    owner: str
    fence: int
    until: datetime
