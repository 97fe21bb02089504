"""Many rows of the jobs table in few calls."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST = 100  # keys that BatchGetItem takes


def items_of(
    client: "DynamoDBClient", table: str, keys: Sequence[Mapping[str, Any]], **options: str
) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of these keys that there are, in any order, by strongly consistent reads; no key may come twice."""
    for start in range(0, len(keys), MOST):
        wanted = list(keys[start : start + MOST])
        while wanted:
            request: Any = {table: {"Keys": wanted, "ConsistentRead": True, **options}}
            got = client.batch_get_item(RequestItems=request)
            yield from got["Responses"].get(table, [])
            left: Any = got.get("UnprocessedKeys", {}).get(table, {})
            wanted = left.get("Keys", [])
