"""Ways to take guards off proof sheets: the list of open jobs, the rounds, the waiting."""

from unittest.mock import patch

from lora_drop.jobs.job import Job
from lora_drop.services import proof_sheets
from lora_drop.services.proof_sheets import ProofOrders
from lora_drop.services.record import Record
from tests.resilience.guards_off import Context, nothing, replaced


def closed_with_an_open_sheet() -> Context:
    def close(self: Record, job: Job) -> None:
        if job.terminal and self.has_settled(job):
            self.jobs.close(job)

    return patch.object(Record, "close_when_settled", close)


late_sheets_are_left = replaced(ProofOrders, "go_on", nothing)


def made_from_what_has_ended() -> Context:
    """A sheet does not wait for the pictures that have not ended yet."""
    real = proof_sheets._pictures

    def ended(record: Record, job: Job) -> list[Job]:
        return [each for each in real(record, job) or () if each.terminal]

    return patch.object(proof_sheets, "_pictures", ended)
