"""template.yaml as data: ``!Ref Name`` is ``{"Ref": "Name"}``, as CloudFormation has it too."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """The short forms of CloudFormation's functions as their long ones."""


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


@cache
def template() -> dict[str, Any]:
    """The whole template."""
    return read(TEMPLATE)


def read(file: Path) -> dict[str, Any]:
    """Another CloudFormation template."""
    loaded: dict[str, Any] = yaml.load(file.read_text(), _Loader)  # noqa: S506  # a safe loader
    return loaded


def properties(name: str) -> dict[str, Any]:
    """The properties of one resource."""
    found: dict[str, Any] = template()["Resources"][name]["Properties"]
    return found


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of this type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template()["Resources"].items()
        if resource["Type"] == kind
    }


def target(value: Any) -> str:
    """The logical id of the resource that a Ref or a GetAtt speaks of."""
    found: str = value["Ref"] if "Ref" in value else value["Fn::GetAtt"]
    return found.partition(".")[0]
