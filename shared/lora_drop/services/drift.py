"""Once a day our table of trainers is compared with what fal publishes of those that this stack uses."""

from dataclasses import dataclass

from lora_drop.fal.drift import Difference, differences
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.ports import JobStore, Prices, PublishedTrainers

NEWEST = 100  # jobs: their trainers are those that are used


@dataclass(frozen=True, slots=True)
class DriftCheck:
    """Compares trainers; ``application`` is the stack's own."""

    jobs: JobStore
    published: PublishedTrainers
    prices: Prices
    application: str

    def compare(self) -> tuple[Difference, ...]:
        """Return what differs; a page of fal's that cannot be read is no difference."""
        newest = self.jobs.page(status=None, limit=NEWEST, cursor=None).jobs
        used = {self.application, *(job.application for job in newest)}
        return tuple(
            difference
            for application in sorted(used & TRAINERS.keys())
            for difference in differences(
                TRAINERS[application],
                self.published.published(application),
                self.prices.price(application),
            )
        )
