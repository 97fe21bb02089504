"""The simulator's own account of what happened, to hold against what others say."""

from collections.abc import Mapping
from typing import Any

from lora_drop.simulator.clock import now, stamp


class Ledger:
    """Rows in the order they happened; nothing is ever changed or taken out."""

    def __init__(self) -> None:
        self.submissions: list[Mapping[str, Any]] = []
        self.datasets: list[Mapping[str, Any]] = []
        self.served: list[Mapping[str, Any]] = []
        self.webhooks: list[Mapping[str, Any]] = []
        self.max_in_progress = 0

    def submission(self, **row: Any) -> None:
        """A POST that came in, accepted or not."""
        self.submissions.append({"time": stamp(now()), **row})

    def dataset(self, **row: Any) -> None:
        """A download of a dataset or checkpoint by the trainer."""
        self.datasets.append({"time": stamp(now()), **row})

    def serving(self, **row: Any) -> None:
        """Bytes of a file that left, and the hash of exactly those."""
        self.served.append({"time": stamp(now()), **row})

    def webhook(self, **row: Any) -> Mapping[str, Any]:
        """An attempt to deliver a webhook, or a delivery that was dropped on purpose."""
        self.webhooks.append({"time": stamp(now()), **row})
        return self.webhooks[-1]

    def in_progress(self, count: int) -> None:
        """So many requests are in progress now."""
        self.max_in_progress = max(self.max_in_progress, count)

    def public(self) -> dict[str, Any]:
        """The whole account."""
        return {
            "submissions": self.submissions,
            "datasets": self.datasets,
            "served": self.served,
            "webhooks": self.webhooks,
            "max_in_progress": self.max_in_progress,
        }
