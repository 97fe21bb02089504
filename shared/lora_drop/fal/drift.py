"""How a trainer that fal publishes differs from our row of it: its inputs, its outputs, its price.

Compared is what both state. fal's schema is OpenAPI 3.0 (https://fal.ai/docs/platform-apis/v1/models,
``expand=openapi-3.0``): the input is the body of the POST to ``/<endpoint>``, the output the answer of the GET
to ``/…/requests/{request_id}``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lora_drop.fal.trainers.fields import Choice, Field, Flag, Rate, WholeNumber, WholeNumberChoice
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.fal.trainers.trainer import Price, Trainer

type Schema = Mapping[str, Any]
ACTIVE = "active"
NOT_THERE = "not there"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that we have otherwise than fal; ``field`` is fal's name of it."""

    application: str
    field: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class PublishedTrainer:
    """What fal publishes of a trainer; ``listed`` False: fal has no endpoint of this name."""

    listed: bool
    status: str | None = None
    openapi: Schema | None = None


def differences(
    trainer: Trainer, published: PublishedTrainer | None, price: Price | None
) -> tuple[Difference, ...]:
    """Return what differs; None is what fal did not say, and differs from nothing."""
    found = list(_of_price(trainer, price))
    if published is not None:
        found += _of_listing(trainer, published)
        if published.openapi is not None:
            found += _of_schema(trainer, published.openapi)
    return tuple(Difference(trainer.application, *each) for each in found)


type _Found = tuple[str, str, str]


def _of_price(trainer: Trainer, price: Price | None) -> Iterator[_Found]:
    ours = trainer.price
    if ours and price and ours.usd_per_step != price.usd_per_step:
        yield "price", f"${ours.usd_per_step} a step", f"${price.usd_per_step} a step"


def _of_listing(trainer: Trainer, published: PublishedTrainer) -> Iterator[_Found]:
    if not published.listed:
        yield "endpoint", trainer.application, NOT_THERE
    elif published.status not in (None, ACTIVE):
        yield "status", ACTIVE, str(published.status)


def _of_schema(trainer: Trainer, openapi: Schema) -> Iterator[_Found]:
    post = _operation(openapi, f"/{trainer.application}", "post")
    body = _resolved(openapi, _at(post, "requestBody", "content", "application/json", "schema"))
    inputs = _at(body, "properties")
    if inputs:
        yield from _of_inputs(trainer, openapi, inputs, body.get("required"))
    got = _operation(openapi, _result_path(openapi), "get")
    answer = _at(got, "responses", "200", "content", "application/json", "schema")
    outputs = _at(_resolved(openapi, answer), "properties")
    if outputs:
        yield from (
            (name, "an output", NOT_THERE) for name in trainer.outputs if name not in outputs
        )


def _of_inputs(
    trainer: Trainer, openapi: Schema, inputs: Schema, required: object
) -> Iterator[_Found]:
    ours = {field.wire: field for field in trainer.fields}
    for name in (trainer.dataset_field, *ours):
        if name not in inputs:
            yield name, "an input", NOT_THERE
    for name in inputs:
        if name in ours:
            yield from _of_input(ours[name], openapi, _resolved(openapi, inputs[name]))
        elif name != trainer.dataset_field:
            needed = isinstance(required, list) and name in required
            # Of the other trainers our rows have the inputs that could be verified.
            if needed or trainer is DEFAULT:
                yield name, NOT_THERE, "a required input" if needed else "an input"


def _of_input(field: Field, openapi: Schema, schema: Schema) -> Iterator[_Found]:
    stated = dict(schema)
    for choice in _list(schema.get("anyOf")):
        # A value that may be null: {"anyOf": [{"type": "string"}, {"type": "null"}]}
        resolved = _resolved(openapi, choice)
        if resolved.get("type") != "null":
            stated = {**resolved, **stated}
    kind = _type_of(field)
    if isinstance(stated.get("type"), str) and stated["type"] != kind:
        yield field.wire, kind, stated["type"]
    default = stated.get("default")
    if field.default is not None and default is not None and field.default != default:
        yield field.wire, f"default {field.default}", f"default {default}"
    if isinstance(field, WholeNumber | Rate):
        for word, ours in (("minimum", field.low), ("maximum", field.high)):
            theirs = stated.get(word)
            if isinstance(theirs, int | float) and theirs != ours:
                yield field.wire, f"{word} {ours}", f"{word} {theirs}"
    enum = _list(stated.get("enum"))
    if isinstance(field, Choice | WholeNumberChoice) and enum:
        for gone in (each for each in field.choices if each not in enum):
            yield field.wire, f"takes {gone}", f"takes {', '.join(map(str, enum))}"


def _type_of(field: Field) -> str:
    match field:
        case WholeNumber() | WholeNumberChoice():
            return "integer"
        case Rate():
            return "number"
        case Flag():
            return "boolean"
        case _:
            return "string"


def _operation(openapi: Schema, path: str, method: str) -> Schema:
    operation: Schema = _at(openapi, "paths", path, method)
    return operation


def _result_path(openapi: Schema) -> str:
    """Return the path of a result: a longer id has its requests under owner and app alone."""
    paths: Schema = _at(openapi, "paths")
    return next((path for path in paths if path.endswith("/requests/{request_id}")), "")


def _resolved(openapi: Schema, schema: object) -> Schema:
    """Return a schema with the one that it refers to put in; what stands beside the reference counts more."""
    found = schema if isinstance(schema, Mapping) else {}
    references = [found.get("$ref"), *(_at(each, "$ref") for each in _list(found.get("allOf")))]
    for reference in references:
        if isinstance(reference, str) and reference.startswith("#/"):
            found = {**_at(openapi, *reference[2:].split("/")), **found}
    return found


def _at(value: object, *path: str) -> Any:
    """Return what lies at a path; an empty schema where nothing does."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return {} if value is None else value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
