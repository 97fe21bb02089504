"""The jobs API as one OpenAPI 3.1 document, made from the models that read requests and write answers.

The table of routes is our own, not Powertools' ``enable_validation``: that would build a validator for every
route at each cold start, and answer errors in a form of its own (422 with ``detail``). A test compares the table
with the template, and with the handlers' routes and errors. Source: OpenAPI Specification 3.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, override

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from lora_drop import api_answers as answers
from lora_drop.api_requests import DatasetRequest, StoredDatasetRequest
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.public_job import PublicJob
from lora_drop.messages import ForgetRequest, JobsQuery, ResolveRequest, RetryRequest

REF = "#/components/schemas/{model}"
JSON = "application/json"


class AsWritten(GenerateJsonSchema):
    """The schema of what is written: every field is there, those with a default as well, unless it is left out."""

    @override
    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode == "validation":
            return super().field_is_required(field, total)
        return "serialization_exclude_if" not in field


# Each code of an error: its status, and what it means.
ERRORS: Mapping[str, tuple[int, str]] = {
    "query_invalid": (400, "the query or the body is not of its form; the message names the field"),
    "job_unknown": (404, "no job has this id"),
    "dataset_unknown": (404, "nothing lies under this key, or it has no such version"),
    "nothing_to_decide": (409, "the job does not wait for this decision, or changed meanwhile"),
    "dataset_unreadable": (409, "the dataset is there, and the stack may not read it"),
    "job_shared": (409, "others share files with the job; `jobs` are their ids"),
    "not_forgotten": (409, "the job has not ended, or S3 does not let go of it"),
    "job_forgotten": (410, "the job was erased"),
    "dataset_rejected": (422, "parameters are wrong; `problems` has each with its code"),
    "fal_unavailable": (503, "fal did not answer; ask again in a minute"),
    "try_again": (503, "another request changed the job, or fal did not answer; ask again"),
}
MORE = {"job_shared": "jobs", "dataset_rejected": "problems"}
OF_A_JOB = ("job_unknown", "job_forgotten")
DECIDES = (*OF_A_JOB, "nothing_to_decide")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; ``answer`` may be several models, one of which it is."""

    method: str
    path: str
    name: str
    summary: str
    answer: tuple[type[BaseModel], ...]
    errors: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = False
    query: type[BaseModel] | None = None
    status: int = 200


JOB = "/jobs/{job_id}"
ROUTES = (
    Route(
        "POST",
        "/datasets",
        "createDataset",
        "Get a signed form to upload a dataset with; the upload is ordered as a training",
        (answers.DatasetForm,),
        ("query_invalid", "dataset_rejected"),
        DatasetRequest,
    ),
    Route(
        "GET",
        "/jobs",
        "listJobs",
        "List jobs, newest first",
        (answers.JobPage,),
        ("query_invalid",),
        query=JobsQuery,
    ),
    Route(
        "POST",
        "/jobs",
        "createJob",
        "Order the training of an uploaded dataset; the same order is the same job",
        (PublicJob,),
        (
            "query_invalid",
            "dataset_unknown",
            "dataset_unreadable",
            "nothing_to_decide",
            "job_forgotten",
        ),
        StoredDatasetRequest,
        body_required=True,
        status=202,
    ),
    Route("GET", JOB, "getJob", "Show a job as it stands", (PublicJob,), OF_A_JOB),
    Route(
        "GET",
        f"{JOB}/files",
        "listFiles",
        "List a job's files with addresses to download them from",
        (answers.JobFiles,),
        OF_A_JOB,
    ),
    Route(
        "POST",
        f"{JOB}/approve",
        "approveJob",
        "Let a held job go on, whatever it costs",
        (PublicJob,),
        DECIDES,
    ),
    Route(
        "POST",
        f"{JOB}/cancel",
        "cancelJob",
        "Stop a job: for free before it is at fal",
        (PublicJob,),
        (*DECIDES, "fal_unavailable"),
    ),
    Route(
        "POST",
        f"{JOB}/retry",
        "retryJob",
        "Pay for an ended job's dataset once more, as a new job",
        (PublicJob,),
        ("query_invalid", *DECIDES, "fal_unavailable"),
        RetryRequest,
    ),
    Route(
        "POST",
        f"{JOB}/resolve",
        "resolveJob",
        "Settle a submission in doubt",
        (PublicJob,),
        ("query_invalid", *DECIDES, "fal_unavailable"),
        ResolveRequest,
        body_required=True,
    ),
    Route(
        "POST",
        f"{JOB}/replay",
        "replayJob",
        "Take in once more what fal has delivered",
        (PublicJob,),
        DECIDES,
    ),
    Route(
        "POST",
        f"{JOB}/forget",
        "forgetJob",
        "Erase a job for good; ask again until it is done",
        (answers.ErasureAnswer, answers.ErasureLook),
        ("query_invalid", "job_unknown", "job_shared", "not_forgotten", "try_again"),
        ForgetRequest,
    ),
    Route(
        "GET", "/budget", "showBudget", "Show the month's dollars and the slots", (answers.Budget,)
    ),
    Route(
        "POST",
        "/redrive",
        "redrive",
        "Send the dead letters of both queues back",
        (answers.Redrive,),
    ),
    Route("GET", "/openapi.json", "describe", "This document", (), ()),
)


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lora-drop jobs API",
            "version": "1",
            "summary": "Datasets in, trainings ordered and decided about, LoRAs out.",
            "description": "Requests are signed for `execute-api` (AWS Signature Version 4), or carry an "
            "`x-api-key` at the stack's second address, if it has one. Nothing but POST /jobs, an upload with a form, "
            "retry, approve and resolve can lead to a paid training.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"sigv4": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SECURITY},
    }


# The name and form that API Gateway itself exports for IAM ("x-amazon-apigateway-authtype").
SECURITY = {
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
}


def _schemas() -> dict[str, Any]:
    """Return the schema of every model, by its name."""
    read: JsonSchemaMode = "validation"
    written: JsonSchemaMode = "serialization"
    wanted = {(each, written): None for route in ROUTES for each in route.answer}
    wanted |= {(each, written): None for each in (Problem, answers.GatewayError)}
    wanted |= {(route.body, read): None for route in ROUTES if route.body}
    _, made = models_json_schema(list(wanted), ref_template=REF, schema_generator=AsWritten)
    found: dict[str, Any] = made["$defs"]
    return dict(sorted(found.items()))


def _operation(route: Route) -> dict[str, Any]:
    parameters = [] if "{job_id}" not in route.path else [_JOB_ID]
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*parameters, *_query(route)],
        "responses": {str(route.status): _answer(route), **_errors(route)},
    }
    if route.body:
        made["requestBody"] = {
            "required": route.body_required,
            "content": {JSON: {"schema": _ref(route.body)}},
        }
    return made


_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(ref_template=REF)
    return [
        {"name": name, "in": "query", "required": False, "schema": _plain(of)}
        for name, of in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a part of a query, which is left out where it is null."""
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return {key: value for key, value in kinds[0].items() if key not in ("default", "title")}


def _answer(route: Route) -> dict[str, Any]:
    models = [_ref(each) for each in route.answer]
    schema = {"anyOf": models} if len(models) > 1 else (models or [{"type": "object"}])[0]
    return {"description": "As asked for.", "content": {JSON: {"schema": schema}}}


def _errors(route: Route) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in route.errors:
        by_status.setdefault(ERRORS[code][0], []).append(code)
    gateway = {"schema": _ref(answers.GatewayError)}
    made = {
        str(status): {
            "description": "; ".join(f"`{code}`: {ERRORS[code][1]}" for code in codes),
            "content": {JSON: {"schema": _error(codes)}},
        }
        for status, codes in sorted(by_status.items())
    }
    for status, why in GATEWAY.items():
        made[status] = {"description": why, "content": {JSON: gateway}}
    return made


# API Gateway's own answers ("Gateway response types").
GATEWAY = {
    "403": "No access: the signature, the right to call this, or the key is missing.",
    "429": "Too many requests; ask again in some seconds.",
    "502": "The function failed; ask again, and look into its log.",
    "504": "There was no answer in 29 seconds; ask again.",
}


def _error(codes: list[str]) -> dict[str, Any]:
    """Return the schema of an error with one of these codes."""
    fields: dict[str, Any] = {"code": {"enum": codes}, "message": {"type": "string"}}
    if "jobs" in (more := {MORE.get(code) for code in codes}):
        fields["jobs"] = {"type": "array", "items": {"type": "string"}}
    if "problems" in more:
        fields["problems"] = {"type": "array", "items": _ref(Problem)}
    inner = {"type": "object", "required": ["code", "message"], "properties": fields}
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}
