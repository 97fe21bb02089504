"""An endpoint as fal's list of models has it, with its OpenAPI schema (fal, "Model search")."""

from typing import Any

from lora_drop.simulator.inputs import rules_of

REFERENCE = "#/components/schemas/{model}"
FILE = {
    "type": "object",
    "required": ["url"],
    "properties": {
        "url": {"type": "string"},
        "content_type": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "file_name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "file_size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "file_data": {"type": "string", "format": "binary"},
    },
}


def model_row(endpoint_id: str, *, expand: bool) -> dict[str, Any]:
    """The endpoint's row; ``expand``: with its schema."""
    row: dict[str, Any] = {
        "endpoint_id": endpoint_id,
        "metadata": {"category": "training", "status": "active"},
    }
    return {**row, "openapi": openapi(endpoint_id)} if expand else row


def openapi(endpoint_id: str) -> dict[str, Any]:
    """The schema of its queue: what the POST takes and what the result has."""
    rules = rules_of(endpoint_id)
    inputs = rules.model.model_json_schema(ref_template=REFERENCE)
    definitions = inputs.pop("$defs", {})
    files = [rules.weights, "config_file"]
    if rules.debug_output:
        files.append("debug_preprocessed_output")
    output = {
        "type": "object",
        "properties": {name: {"$ref": "#/components/schemas/File"} for name in files},
        "required": files[:2],
    }
    return {
        "openapi": "3.0.4",
        "info": {"title": f"Queue OpenAPI for {endpoint_id}", "version": "1.0.0"},
        "paths": {
            f"/{endpoint_id}": {
                "post": {"requestBody": {"required": True, "content": _json("Input")}}
            },
            f"/{endpoint_id}/requests/{{request_id}}": {
                "get": {"responses": {"200": {"content": _json("Output")}}}
            },
        },
        "components": {"schemas": {**definitions, "File": FILE, "Input": inputs, "Output": output}},
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
