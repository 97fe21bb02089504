"""docs/events.schema.json: what an event's ``detail`` holds, from the model that writes it."""

import json

from pydantic.json_schema import GenerateJsonSchema

from lora_drop.dev.report_schema import AsWritten
from lora_drop.jobs.events import StatusChange


def events_schema() -> str:
    """The JSON schema (draft 2020-12) of the events' ``detail``, as text."""
    schema = StatusChange.model_json_schema(mode="serialization", schema_generator=AsWritten)
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps({**dialect, **schema}, indent=2) + "\n"
