"""docs/openapi.json describes what the functions serve: every route, every error, every form."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from functions.forget.handler import app as forget_routes
from functions.jobs.handler import app as jobs
from lora_drop.api import ErrorAnswer
from lora_drop.api_answers import ErasureProof
from lora_drop.api_routes import ERRORS, ROUTES
from lora_drop.jobs.erasures import Erasure, public
from lora_drop.openapi import document
from tests.security.iam.policies import functions
from tests.support.builders import NOW, make_job
from tests.support.template import properties


def served() -> set[tuple[str, str]]:
    """Method and path of every route of the template, but fal's own."""
    events = [each for one in functions().values() for each in one.get("Events", {}).values()]
    routes = [each["Properties"] for each in events if each["Type"] == "Api"]
    return {
        (each["Method"], each["Path"])
        for each in routes
        if not each["Path"].startswith("/webhooks")
    }


def handled(app: Any) -> set[tuple[str, str]]:
    routes = [*app._static_routes, *app._dynamic_routes]
    return {
        (method, re.sub(r"<(\w+)>", r"{\1}", each.path))
        for each in routes
        for method in [each.method]
    }


@pytest.mark.promise("interfaces stay")
def test_every_route_is_described() -> None:
    """The template, the functions and docs/openapi.json have the same routes."""
    described = {
        (method.upper(), path) for path, item in document()["paths"].items() for method in item
    }
    assert described == {(each.method, each.path) for each in ROUTES}
    assert described == served() == handled(jobs) | handled(forget_routes())


def test_callers_with_a_key_see_their_own_routes() -> None:
    """The document for callers with a key has the routes of the template's second address, and asks for the key."""
    by_key = document(by_key=True)
    paths = properties("KeyApi")["DefinitionBody"]["paths"]
    described = {(path, method) for path, item in by_key["paths"].items() for method in item}
    assert described == {
        (path, method) for path, item in paths.items() for method in item if method != "options"
    }
    assert by_key["security"] == [{"api_key": []}]
    assert by_key["components"]["securitySchemes"]["api_key"]["name"] == "x-api-key"


def test_every_error_is_described() -> None:
    """Each answer to an error has its code and status in the table, and no other code stands there."""
    answers = [
        each
        for app in (jobs, forget_routes())
        for each in app.exception_handler_manager._exception_handlers.values()
        if isinstance(each, ErrorAnswer)
    ]
    assert {each.code: each.status for each in answers} == {
        code: status for code, (status, _) in ERRORS.items()
    }
    assert {code for each in ROUTES for code in each.errors} == ERRORS.keys()


def test_every_reference_leads_somewhere() -> None:
    names = document()["components"]["schemas"].keys()
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document())))
    assert wanted == names
    operations = [
        each["operationId"] for item in document()["paths"].values() for each in item.values()
    ]
    assert len(set(operations)) == len(operations)


def test_proof_is_described_whole() -> None:
    erasure: Mapping[str, Any] = public(Erasure.of(make_job(), now=NOW, dropped_by=NOW))
    assert erasure.keys() == ErasureProof.model_fields.keys()
    ErasureProof.model_validate(erasure)
