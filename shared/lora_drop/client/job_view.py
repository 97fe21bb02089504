"""A job as it stood when the stack was asked, for programs: the same for both clients."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from lora_drop.client.errors import StackUnreachableError
from lora_drop.datasets.report import Estimate
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.budget import ChargeState
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.public_job import PublicJob, PublicProof
from lora_drop.jobs.status import Status

# Fields of later versions; an earlier stack does not send them.
UNKNOWN = dict.fromkeys(PublicJob.model_fields)


@dataclass(frozen=True, slots=True, repr=False)
class JobView:
    """One job at one moment. Two views of the same job are equal.

    Before the stack has seen the dataset (``seen``), everything but the id is empty and the status RECEIVED.
    """

    id: str
    public: PublicJob | None = field(default=None, compare=False)
    location: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    @property
    def seen(self) -> bool:
        """Whether the stack has seen the dataset."""
        return self.public is not None

    @property
    def status(self) -> Status:
        """Where the job stands."""
        return self.public.status if self.public else Status.RECEIVED

    @property
    def ended(self) -> bool:
        """Whether the job has ended; one that is HELD has not."""
        return self.status.terminal

    @property
    def dataset(self) -> str | None:
        """The dataset's key in the datasets bucket."""
        return self.public.dataset.key if self.public else None

    @property
    def reference(self) -> str | None:
        """The caller's own name for the job."""
        return self.public.reference if self.public else None

    @property
    def trainer(self) -> str | None:
        """Fal's name of the trainer."""
        return self.public.application if self.public else None

    @property
    def preset(self) -> str | None:
        """The preset that the parameters started from."""
        return self.public.preset if self.public else None

    @property
    def trigger_phrase(self) -> str | None:
        """The word that calls up what is learnt."""
        parameters = self.public.parameters if self.public else None
        return parameters.trigger_phrase if parameters else None

    @property
    def steps(self) -> int | None:
        """How long it trains."""
        parameters = self.public.parameters if self.public else None
        return parameters.steps if parameters else None

    @property
    def images(self) -> int | None:
        """How many photos are trained on."""
        return self.public.images if self.public else None

    @property
    def estimate(self) -> Estimate | None:
        """What the training is expected to cost; None while it is not checked, and for an unknown price."""
        if self.public is None or self.public.estimated_cost_usd is None or self.steps is None:
            return None
        return Estimate(self.public.estimated_cost_usd, self.steps, self.public.application)

    @property
    def progress(self) -> PublicProgress | None:
        """How far the training is, as fal's log said when it was read last."""
        return self.public.progress if self.public else None

    @property
    def queue_position(self) -> int | None:
        """How many requests came first in fal's queue, when fal was asked last."""
        return self.public.queue_position if self.public else None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, each with what to do."""
        return self.public.problems if self.public else ()

    @property
    def stored(self) -> tuple[StoredFile, ...]:
        """The files of the result in the models bucket."""
        return self.public.files if self.public else ()

    @property
    def request_id(self) -> str | None:
        """The request at fal."""
        return self.public.request_id if self.public else None

    @property
    def duplicate_of(self) -> str | None:
        """The job that had trained the same before, and whose files are this job's."""
        return self.public.duplicate_of if self.public else None

    @property
    def retry_of(self) -> str | None:
        """The job that this one tries again."""
        return self.public.retry_of if self.public else None

    @property
    def created_at(self) -> datetime | None:
        """When the stack saw the dataset, UTC."""
        return self.public.created_at if self.public else None

    @property
    def updated_at(self) -> datetime | None:
        """When the job changed last, UTC."""
        return self.public.updated_at if self.public else None

    @property
    def proof(self) -> PublicProof | None:
        """The proof sheet, with how much its pictures look like the photos; None where none was ordered."""
        return self.public.proof if self.public else None

    @property
    def billed(self) -> bool | None:
        """Whether fal bills it; None where that is not known, or not yet."""
        charges = (*self.public.past_charges, self.public.charge) if self.public else ()
        states = {charge.state for charge in charges if charge}
        if ChargeState.SPENT in states:
            return True
        return None if states - {ChargeState.FREE} else False


def public_job(document: Mapping[str, Any]) -> PublicJob:
    """Return a job of the API; raises StackUnreachableError for what another version's stack says."""
    try:
        return PublicJob.model_validate({**UNKNOWN, **document})
    except ValidationError as error:
        raise StackUnreachableError(
            "The stack speaks of jobs in a form that this version does not know. Install the version that "
            "deployed it, or update it: lora-drop deploy"
        ) from error
