"""What is asked of AWS: every call that botocore makes, by service, operation and parameters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

# What only reads; anything else counts as a write.
READS = ("Get", "BatchGet", "Query", "Head", "List", "Describe", "Receive")


@dataclass(frozen=True)
class Call:
    """One call."""

    service: str
    operation: str
    parameters: dict[str, Any]

    @property
    def writes(self) -> bool:
        """Whether anything may be different afterwards."""
        return not self.operation.startswith(READS)


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """The calls that are made until the block ends, those that fail as well."""
    calls: list[Call] = []
    make: Any = vars(BaseClient)["_make_api_call"]

    def note(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
        calls.append(Call(client.meta.service_model.service_name, operation, parameters))
        return make(client, operation, parameters)

    with patch.object(BaseClient, "_make_api_call", note):
        yield calls
