"""The jobs API as one OpenAPI 3.1 document, made from the models that read requests and write answers.

The table of routes is our own, not Powertools' ``enable_validation``: that would build a validator for every
route at each cold start, and answer errors in a form of its own (422 with ``detail``). A test compares the table
with the template, and with the handlers' routes and errors. Source: OpenAPI Specification 3.1.
"""

from functools import cache
from typing import Any, override

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from lora_drop import api_answers as answers
from lora_drop.api_requests import IDEMPOTENCY_KEY_FORM
from lora_drop.api_routes import BY_KEY, ERRORS, ROUTES, Route
from lora_drop.jobs.problems import Problem

REF = "#/components/schemas/{model}"
JSON = "application/json"
# What some errors have besides code and message.
MORE = {"job_shared": "jobs", "dataset_rejected": "problems"}


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


@cache
def document(base: str = "/live", *, by_key: bool = False) -> dict[str, Any]:
    """Return the document of the API under this path of its host, or of the address for callers with a key.

    A server's address that begins with a slash counts from the host (OpenAPI 3.1, "Server Object"; RFC 3986, 5.2),
    so the stage has to be in it.
    """
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    routes = [each for each in ROUTES if not by_key or (each.method, each.path) in BY_KEY]
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    security = BY_KEY_SECURITY if by_key else SECURITY
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
        "servers": [{"url": base or "/"}],
        "security": [{name: []} for name in security],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": security},
    }


BY_KEY_SECURITY = {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}}
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
    bodies = (body for route in ROUTES for body in (route.body, route.other_body) if body)
    wanted |= {(body, read): None for body in bodies}
    _, made = models_json_schema(list(wanted), ref_template=REF, schema_generator=AsWritten)
    found: dict[str, Any] = made["$defs"]
    return dict(sorted(found.items()))


def _operation(route: Route) -> dict[str, Any]:
    parameters = [] if "{job_id}" not in route.path else [_JOB_ID]
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*parameters, *_query(route), *([_KEY] if route.idempotent else [])],
        "responses": {str(route.status): _answer(route), **_errors(route)},
    }
    if route.body:
        made["requestBody"] = {
            "required": route.body_required,
            "content": {JSON: {"schema": _body(route.body, route.other_body)}},
        }
    return made


def _body(body: type[BaseModel], other: type[BaseModel] | None) -> dict[str, Any]:
    return {"anyOf": [_ref(body), _ref(other)]} if other else dict(_ref(body))


_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "of an order with a url: the same key is the same job; without one the same body is",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY_FORM},
}
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
