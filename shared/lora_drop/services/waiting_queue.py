"""The queue in front of fal: jobs that are READY, the oldest first."""

from dataclasses import dataclass

from lora_drop.ports import Inbox, JobStore


@dataclass(frozen=True, slots=True)
class WaitingQueue:
    """Wakes the next waiting job when a slot becomes free."""

    jobs: JobStore
    inbox: Inbox

    def wake_next(self) -> None:
        """Wake the submitter if a job waits. When this is lost, the reconciler's round does it."""
        waiting = self.jobs.next_waiting()
        if waiting is not None:
            self.inbox.announce(waiting.dataset)
