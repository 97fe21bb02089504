"""Changes of jobs and proof sheets that are ready, on the account's default event bus."""

from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.jobs.errors import EventsUnavailableError
from lora_drop.jobs.events import SOURCE, ProofSheetReady, StatusChange

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

MOST = 10  # entries that a call takes
# A function that pays or stores waits no longer for an event; the reconciler publishes what was left.
PATIENCE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})


class BusEvents:
    """EventBridge."""

    def __init__(self, client: "EventBridgeClient") -> None:
        self._client = client

    def emit(self, *events: StatusChange | ProofSheetReady) -> None:
        """Put ten entries with a call; EventBridge answers 200 also to an entry that it does not take."""
        for some in batched(events, MOST):
            self._put(some)

    def _put(self, events: Sequence[StatusChange | ProofSheetReady]) -> None:
        job_id = events[0].job_id
        try:
            answer = self._client.put_events(
                Entries=[
                    {
                        "Source": SOURCE,
                        "DetailType": event.detail_type,
                        "Detail": event.model_dump_json(),
                    }
                    for event in events
                ]
            )
        except (BotoCoreError, ClientError) as error:
            raise EventsUnavailableError(f"{job_id}: {type(error).__name__}") from error
        if answer["FailedEntryCount"]:
            codes = [entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry]
            raise EventsUnavailableError(f"{job_id}: {codes[0] if codes else None}")


def bus_events() -> BusEvents:
    """Return the bus, with little patience."""
    return BusEvents(boto3.client("events", config=PATIENCE))
