"""docs/report.schema.json and docs/events.schema.json, from the models that write reports and events."""

import json
from typing import override

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from lora_drop.datasets.report import Report
from lora_drop.jobs.events import StatusChange


class AsWritten(GenerateJsonSchema):
    """The schema of what is written: every field is there, those with a default as well."""

    @override
    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return True


def report_schema() -> str:
    """The JSON schema (draft 2020-12) of ``report.json``, as text."""
    schema = Report.model_json_schema(mode="serialization", schema_generator=AsWritten)
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps({**dialect, **schema}, indent=2) + "\n"


def events_schema() -> str:
    """The JSON schema (draft 2020-12) of the events' ``detail``, as text."""
    schema = StatusChange.model_json_schema(mode="serialization", schema_generator=AsWritten)
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps({**dialect, **schema}, indent=2) + "\n"
