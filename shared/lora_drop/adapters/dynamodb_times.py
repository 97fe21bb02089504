"""How long trainings took, one row for each trainer in the jobs table: ``pk = TIMES``, ``sk`` its name at fal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from lora_drop.adapters.dynamodb_rows import key_of
from lora_drop.jobs.training_times import KEPT, TrainingTime

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TIMES = "TIMES"
LIST: TypeAdapter[list[TrainingTime]] = TypeAdapter(list[TrainingTime])


class DynamoTrainingTimes:
    """The rows under TIMES."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def times(self, application: str) -> Sequence[TrainingTime]:
        """Return a trainer's row; one that cannot be read is as good as none, for it is only statistics."""
        got = self._client.get_item(TableName=self._table, Key=key_of(TIMES, application))
        try:
            return LIST.validate_json(got["Item"]["times"]["S"])
        except (KeyError, ValidationError):
            return []

    def add_time(self, application: str, time: TrainingTime) -> None:
        """Write the row again with one more."""
        kept = LIST.dump_json([*self.times(application), time][-KEPT:]).decode()
        row = {**key_of(TIMES, application), "times": {"S": kept}}
        self._client.put_item(TableName=self._table, Item=row)
