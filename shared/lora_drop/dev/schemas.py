"""The JSON schemas in docs/, from the models that write reports, events and public jobs."""

import json

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from lora_drop.datasets.report import Report
from lora_drop.datasets.reports.proof_sheet import ProofReport
from lora_drop.jobs.events import ProofSheetReady, StatusChange
from lora_drop.jobs.public_job import PublicJob
from lora_drop.openapi import AsWritten, document


def report_schema() -> str:
    """Return the JSON schema of ``report.json``, as text."""
    return _schema(Report)


def events_schema() -> str:
    """Return the JSON schema of the events' ``detail``, as text."""
    return _schema(StatusChange)


def proof_event_schema() -> str:
    """Return the JSON schema of the ``detail`` of a proof sheet's event, as text."""
    return _schema(ProofSheetReady)


def proof_schema() -> str:
    """Return the JSON schema of ``proof.json``, as text."""
    return _schema(ProofReport)


def job_schema() -> str:
    """Return the JSON schema of a job as the API and ``status.json`` show it, as text."""
    return _schema(PublicJob)


def openapi_document() -> str:
    """Return the jobs API in OpenAPI 3.1, as text."""
    return json.dumps(document(), indent=2) + "\n"


def _schema(model: type[BaseModel]) -> str:
    """Return a model's schema (draft 2020-12)."""
    schema = model.model_json_schema(mode="serialization", schema_generator=AsWritten)
    dialect = {"$schema": GenerateJsonSchema.schema_dialect}
    return json.dumps({**dialect, **schema}, indent=2) + "\n"
