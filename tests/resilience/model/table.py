"""As much of DynamoDB as the jobs table needs, in memory and frozen between two steps.

The real ``DynamoJobs`` runs over it, so its conditions, lists and counters are under check as well.
Only a job's own row is not spelt out in DynamoDB's types: that is the contract suite's business.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from pydantic import BaseModel

from lora_drop.adapters import dynamodb, dynamodb_writes
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.job import Job

type Key = Hashable
PLAIN = (type(None), bool, int, float, str, bytes, Enum, datetime, timedelta)


class Row:
    """A job as it is kept; there is one row for all that are equal, so ``is`` compares them."""

    __slots__ = ("job", "text")
    _known: dict[str, "Row"] = {}  # noqa: RUF012  # one table for all: that is its purpose

    def __init__(self, job: Job, text: str) -> None:
        self.job = job
        self.text = text

    @classmethod
    def of(cls, job: Job) -> "Row":
        text = job.model_dump_json()
        row = cls._known.get(text)
        if row is None:
            row = cls._known[text] = cls(job, text)
        return row


def key_of(value: object) -> Key:
    """What tells this value from others; equal values have equal keys."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Job):
        return Row.of(value)
    if isinstance(value, BaseModel):
        return type(value).__name__, value.model_dump_json()
    return type(value).__name__, *(key_of(member) for member in _members(value))


def _members(value: object) -> Iterable[object]:
    match value:
        case Mapping():
            return value.items()
        case tuple() | list():
            return value
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    raise TypeError(f"nothing tells one {type(value).__name__} from another")


def brief(value: object) -> str:
    match value:
        case Job():
            request = f" {value.request_id}" if value.request_id else ""
            return f"{value.job_id} {value.status} v{value.version}{request}"
        case None | bool() | int() | str():
            return str(value)[:36]
        case tuple() | list():
            return "[" + ", ".join(brief(item) for item in value) + "]"
    for name in ("request_id", "name", "key"):
        if found := getattr(value, name, None):
            return f"{type(value).__name__} {found}"
    return type(value).__name__


type Place = tuple[str, str]
type Item = Mapping[str, Any]
type Frozen = tuple[tuple[Place, tuple[tuple[str, Any], ...]], ...]


@contextmanager
def plain_rows() -> Iterator[None]:
    """While this lasts, a job's item holds the job itself, and the outbox stays empty."""
    with (
        patch.object(dynamodb_writes, "item_of", _item_of),
        patch.object(dynamodb_writes, "_outbox", lambda *_, **__: []),
        patch.object(dynamodb, "job_of", lambda item: item["job"]["R"].job),
    ):
        yield


def _item_of(job: Job) -> dict[str, Any]:
    version = {"N": str(job.version)}
    return {
        "pk": {"S": job.job_id},
        "sk": {"S": "job"},
        "version": version,
        "job": {"R": Row.of(job)},
    }


class Table:
    """A DynamoDB client that knows one table."""

    def __init__(self, frozen: Frozen = ()) -> None:
        self.items: dict[Place, Item] = {place: _thawed(item) for place, item in frozen}

    @property
    def store(self) -> DynamoJobs:
        client: Any = self
        return DynamoJobs(client, "jobs")

    def frozen(self) -> Frozen:
        return tuple(sorted((place, _frozen(item)) for place, item in self.items.items()))

    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:  # noqa: N803  # boto3's names
        item = self.items.get(_place(Key))
        return {} if item is None else {"Item": item}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        keys = RequestItems["jobs"]["Keys"]
        found = [self.items[_place(key)] for key in keys if _place(key) in self.items]
        return {"Responses": {"jobs": found}}

    def get_paginator(self, _: str) -> "Table":
        """The one paginator: it knows ``pk = :…``, all of it in one page."""
        return self

    def paginate(
        self,
        *,
        ExpressionAttributeValues: Mapping[str, Any],  # noqa: N803
        PaginationConfig: Mapping[str, Any] | None = None,  # noqa: N803
        **_: Any,
    ) -> Iterator[dict[str, Any]]:
        """The items under one partition key, in the order of their sort keys."""
        [kind] = (value["S"] for value in ExpressionAttributeValues.values())
        found = [item for (pk, _), item in sorted(self.items.items(), key=_first) if pk == kind]
        yield {"Items": found[: (PaginationConfig or {}).get("MaxItems")]}

    def delete_item(self, **action: Any) -> None:
        if not _holds(action, self.items.get(_target(action), {})):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "DeleteItem")
        self.items.pop(_target(action), None)

    def transact_write_items(self, *, TransactItems: Sequence[Any]) -> None:  # noqa: N803
        actions = [next(iter(each.items())) for each in TransactItems]
        if len({_target(action) for _, action in actions}) < len(actions):
            raise ValueError("one transaction cannot touch an item twice")
        held = [_holds(action, self.items.get(_target(action), {})) for _, action in actions]
        if not all(held):
            reasons = [{"Code": "None" if each else "ConditionalCheckFailed"} for each in held]
            response: Any = {"Error": {"Code": "Cancelled"}, "CancellationReasons": reasons}
            raise ClientError(response, "TransactWriteItems")
        for kind, action in actions:
            place = _target(action)
            if kind == "Delete":
                self.items.pop(place, None)
            elif kind == "Put":
                self.items[place] = action["Item"]
            elif kind == "Update":
                self.items[place] = _updated(action, self.items.get(place))


def _first(pair: tuple[Place, Item]) -> Place:
    return pair[0]


def _place(key: Item) -> Place:
    return key["pk"]["S"], key["sk"]["S"]


def _target(action: Mapping[str, Any]) -> Place:
    return _place(action["Key"] if "Key" in action else action["Item"])


def _holds(action: Mapping[str, Any], item: Item) -> bool:
    """Whether the action's condition holds; raises ValueError for one this table cannot read."""
    condition = action.get("ConditionExpression")
    return condition is None or any(
        all(_true(term, action, item) for term in part.split(" AND "))
        for part in condition.split(" OR ")
    )


def _true(term: str, action: Mapping[str, Any], item: Item) -> bool:
    if absent := re.fullmatch(r"attribute_not_exists\(([#\w]+)\)", term):
        return action.get("ExpressionAttributeNames", {}).get(absent[1], absent[1]) not in item
    compared = re.fullmatch(r"(size\()?([#\w]+)\)? (=|<=|<) (:\w+)", term)
    if compared is None:
        raise ValueError(f"no such condition here: {term}")
    name = action.get("ExpressionAttributeNames", {}).get(compared[2], compared[2])
    if name not in item:
        return False
    has = len(next(iter(item[name].values()))) if compared[1] else _plain(item[name])
    wanted = _plain(action["ExpressionAttributeValues"][compared[4]])
    return bool({"=": has == wanted, "<=": has <= wanted, "<": has < wanted}[compared[3]])


def _plain(value: Mapping[str, Any]) -> Any:
    return int(value["N"]) if "N" in value else value["S"]


def _updated(action: Mapping[str, Any], item: Item | None) -> Item:
    """What ADD, DELETE and SET make of an item."""
    verb, clauses = action["UpdateExpression"].split(" ", 1)
    new = dict(action["Key"] if item is None else item)
    if verb == "SET":
        return {**new, **dict(_set(action, new, clauses))}
    for clause in clauses.split(", "):
        name, value = clause.split(" ")
        given = action["ExpressionAttributeValues"][value]
        if "N" in given:
            new[name] = {"N": str(_plain(new.get(name, {"N": "0"})) + _plain(given))}
            continue
        had = set(new.get(name, {"SS": ()})["SS"])
        left = had | set(given["SS"]) if verb == "ADD" else had - set(given["SS"])
        new.pop(name, None)
        if left:
            new[name] = {"SS": tuple(sorted(left))}
    return new


def _set(action: Mapping[str, Any], item: Item, clauses: str) -> Iterator[tuple[str, Any]]:
    """The attributes that SET writes: what is given, that unless there is one, and a list with more at its end."""
    values = action["ExpressionAttributeValues"]
    for clause in re.split(r", (?=[#\w]+ = )", clauses):
        name, given = clause.split(" = ")
        name = action.get("ExpressionAttributeNames", {}).get(name, name)
        *_, last = re.findall(r":\w+", given)
        if given.startswith("list_append(if_not_exists("):
            had = item.get(name, {"L": []})["L"]
            yield name, {"L": [*had, *values[last]["L"]]}
        elif given.startswith("if_not_exists("):
            yield name, item.get(name, values[last])
        else:
            yield name, values[last]


def _frozen(item: Item) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, next(iter(value.items()))) for name, value in item.items()))


def rows_of(frozen: Frozen) -> dict[Place, dict[str, Any]]:
    """The table's items by their keys, each value without its type."""
    return {place: {name: value for name, (_, value) in item} for place, item in frozen}


def _thawed(item: tuple[tuple[str, Any], ...]) -> Item:
    return {name: {kind: value} for name, (kind, value) in item}
