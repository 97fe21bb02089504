"""The jobs table in memory, as fast for 100,000 rows as for ten, with what DynamoDB would count of each call.

The real ``DynamoJobs`` runs over it. A query reads what DynamoDB would read: in the order of the sort keys, from
where it is told to start, and a megabyte a page at most.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from lora_drop.adapters.dynamodb import DynamoJobs
from tests.resilience.model.table import Item, Place, Table

INDEXES = {"by-status": "status", "by-creation": "sk"}
PAGE = 1_000_000  # bytes
# Units, "Read and write operations" in the DynamoDB developer guide.
READ_UNIT, WRITE_UNIT = 4096, 1024


def size_of(value: Any) -> int:
    """The bytes of an attribute's value, or of a whole item."""
    match value:
        case {"S": str(text)} | {"N": str(text)}:
            return len(text)
        case {"SS": texts}:
            return sum(map(len, texts))
        case {"M": members}:
            return 3 + size_of(members)
        case {"L": members}:
            return 3 + sum(1 + size_of(each) for each in members)
        case {"BOOL": _} | {"NULL": _}:
            return 1
        case Mapping():
            return sum(len(name) + size_of(each) for name, each in value.items())
    raise TypeError(f"no such attribute here: {value}")


class Rows(dict[Place, Item]):
    """The items by their keys, and by the keys of the table's two indexes."""

    def __init__(self) -> None:
        super().__init__()
        self.order: dict[str, dict[str, list[tuple[str, ...]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.write_units = 0
        self.sizes: dict[Place, int] = {}

    def __setitem__(self, place: Place, item: Item) -> None:
        self.sizes[place] = size_of(item)
        self._write(self.get(place), item, self.sizes[place])
        super().__setitem__(place, item)

    def pop(self, place: Place, _: Any = None) -> Any:
        before = self.get(place)
        if before is not None:
            self._write(before, None, self.sizes.pop(place))
            super().__delitem__(place)
        return before

    def _write(self, before: Item | None, after: Item | None, size: int) -> None:
        """Move the item in the table and its indexes, and count the units: one a KB, an index's key by deletion and put."""
        units = math.ceil(size / WRITE_UNIT)
        self.write_units += 2 * units  # all of these writes are parts of transactions
        for name in ("", *INDEXES):
            old, new = (_entry(name, each) for each in (before, after))
            if name:
                self.write_units += units * (len({old, new} - {None}) if old != new else bool(new))
            if old == new:
                continue
            if old:
                entries = self.order[name][old[0]]
                del entries[bisect_left(entries, old[1])]
            if new:
                insort(self.order[name][new[0]], new[1])


def _entry(index: str, item: Item | None) -> tuple[str, tuple[str, ...]] | None:
    """The partition of an index (the table itself without a name) that has the item, and its place there."""
    if item is None:
        return None
    if not index:
        return item["pk"]["S"], (item["sk"]["S"], item["pk"]["S"], item["sk"]["S"])
    if "created_at" not in item or INDEXES[index] not in item:
        return None
    place = item["created_at"]["S"], item["pk"]["S"], item["sk"]["S"]
    return item[INDEXES[index]]["S"], place


class CountedTable(Table):
    """A DynamoDB client that knows one table; ``counted`` has its calls, rows read and units."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.items = self.rows
        self.counted: Counter[str] = Counter()

    @property
    def store(self) -> DynamoJobs:
        return super().store

    def get_item(self, **request: Any) -> dict[str, Any]:
        found = super().get_item(**request)
        self._read([found["Item"]] if found else [])
        return found

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        found = super().batch_get_item(**request)
        items = found["Responses"]["jobs"]
        self._read(items)
        return found

    def put_item(self, *, Item: Item, **_: Any) -> None:  # noqa: N803  # boto3's names
        self.counted["calls"] += 1
        self.items[Item["pk"]["S"], Item["sk"]["S"]] = Item

    def delete_item(self, **action: Any) -> None:
        self.counted["calls"] += 1
        super().delete_item(**action)

    def transact_write_items(self, **request: Any) -> None:
        self.counted["calls"] += 1
        super().transact_write_items(**request)

    def query(
        self,
        *,
        ExpressionAttributeValues: Mapping[str, Any],  # noqa: N803
        IndexName: str = "",  # noqa: N803
        ScanIndexForward: bool = True,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
        ExclusiveStartKey: Item | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """One page of a partition, before ``:place`` where the request has that."""
        values = [value["S"] for value in ExpressionAttributeValues.values()]
        entries = self.rows.order[IndexName].get(values[0], [])
        start, end = 0, len(entries) if len(values) == 1 else bisect_left(entries, (values[1],))
        if ExclusiveStartKey:
            last = _entry(IndexName, {**ExclusiveStartKey, "status": {"S": values[0]}})
            assert last
            if ScanIndexForward:
                start = bisect_right(entries, last[1])
            else:
                end = bisect_left(entries, last[1])
        picked, size = list[Item](), 0
        for number in range(start, end) if ScanIndexForward else range(end - 1, start - 1, -1):
            if size >= PAGE or len(picked) == Limit:
                break
            picked.append(self.items[entries[number][1], entries[number][2]])
            size += self.rows.sizes[entries[number][1], entries[number][2]]
        self._read(picked, units=math.ceil(size / READ_UNIT))
        found: dict[str, Any] = {"Items": picked, "Count": len(picked)}
        if picked and len(picked) < end - start:
            names = ("pk", "sk", *(("created_at",) if IndexName else ()))
            key = {*names, *(("status",) if IndexName == "by-status" else ())}
            found["LastEvaluatedKey"] = {name: picked[-1][name] for name in sorted(key)}
        return found

    def paginate(
        self,
        *,
        PaginationConfig: Mapping[str, Any] | None = None,  # noqa: N803
        **request: Any,
    ) -> Iterator[dict[str, Any]]:
        most = (PaginationConfig or {}).get("MaxItems")
        start: dict[str, Any] = {}
        while True:
            page = self.query(**request, **start, Limit=most)
            yield page
            if most or "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _read(self, items: list[Item], units: int | None = None) -> None:
        self.counted["calls"] += 1
        self.counted["rows"] += len(items)
        self.counted["read units"] += max(
            1, sum(map(self._units, items)) if units is None else units
        )

    def _units(self, item: Item) -> int:
        size = self.rows.sizes[item["pk"]["S"], item["sk"]["S"]]
        return math.ceil(size / READ_UNIT)
