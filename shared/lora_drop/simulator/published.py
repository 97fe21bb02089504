"""An endpoint as fal's list of models has it, with its OpenAPI schema (fal, "Model search")."""

from typing import Any

from lora_drop.simulator.image_inputs import IMAGE_MODELS, FluxLoraInput
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
IMAGE = {
    "type": "object",
    "required": ["url", "width", "height"],
    "properties": {
        "url": {"type": "string"},
        "width": {"type": "integer"},
        "height": {"type": "integer"},
        "content_type": {"type": "string", "default": "image/jpeg"},
    },
}
PICTURES = {
    "type": "object",
    "required": ["images", "timings", "seed", "has_nsfw_concepts", "prompt"],
    "properties": {
        "images": {"type": "array", "items": {"$ref": "#/components/schemas/Image"}},
        "timings": {"type": "object", "additionalProperties": {"type": "number"}},
        "seed": {"type": "integer"},
        "has_nsfw_concepts": {"type": "array", "items": {"type": "boolean"}},
        "prompt": {"type": "string"},
    },
}


def model_row(endpoint_id: str, *, expand: bool) -> dict[str, Any]:
    """The endpoint's row; ``expand``: with its schema."""
    category = "text-to-image" if endpoint_id in IMAGE_MODELS else "training"
    row: dict[str, Any] = {
        "endpoint_id": endpoint_id,
        "metadata": {"category": category, "status": "active"},
    }
    return {**row, "openapi": openapi(endpoint_id)} if expand else row


def openapi(endpoint_id: str) -> dict[str, Any]:
    """The schema of its queue: what the POST takes and what the result has."""
    is_image = endpoint_id in IMAGE_MODELS
    model = FluxLoraInput if is_image else rules_of(endpoint_id).model
    inputs = model.model_json_schema(ref_template=REFERENCE)
    definitions = inputs.pop("$defs", {})
    output = PICTURES if is_image else _training_output(endpoint_id)
    schemas = {**definitions, "File": FILE, "Image": IMAGE, "Input": inputs, "Output": output}
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
        "components": {"schemas": schemas},
    }


def _training_output(endpoint_id: str) -> dict[str, Any]:
    rules = rules_of(endpoint_id)
    files = [rules.weights, "config_file"]
    if rules.debug_output:
        files.append("debug_preprocessed_output")
    return {
        "type": "object",
        "properties": {name: {"$ref": "#/components/schemas/File"} for name in files},
        "required": files[:2],
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
