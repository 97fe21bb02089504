"""What a page of the jobs list costs with so many jobs in the table: by the real handler over the real adapter."""

import io
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from functions.jobs import handler as jobs_function
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.adapters.dynamodb_rows import CREATED_AT, cursor_of, item_of
from lora_drop.jobs.status import Status
from tests.growth.table import CountedTable
from tests.resilience.model.table import Item
from tests.support.aws import moto
from tests.support.builders import NOW, make_job
from tests.support.lambda_environment import Context, event

LIMIT = 5
HELD_EVERY = 2
RUNS = 51
CHECKED_WITH_MOTO = 1000
PAGES = ("first", "filtered", "deep")


def items(many: int) -> Iterator[Item]:
    """So many jobs that have succeeded, each second of them held; as rows of the table."""
    rows = [
        item_of(make_job(status))
        for status in (Status.HELD, *[Status.SUCCEEDED] * (HELD_EVERY - 1))
    ]
    for number in range(many):
        job_id = {"S": f"ada-{number:010}"}
        created_at = {"S": (NOW + timedelta(seconds=number)).isoformat()}
        yield {**rows[number % HELD_EVERY], "pk": job_id, "job_id": job_id, CREATED_AT: created_at}


@dataclass
class Lists:
    """The handler over a table with so many jobs."""

    jobs: int

    def __post_init__(self) -> None:
        self.table = CountedTable()
        for item in items(self.jobs):
            self.table.items[item["pk"]["S"], item["sk"]["S"]] = item

    def request(self, page: str) -> Mapping[str, Any]:
        """The first page, the first of those that are held, or one from the middle of the list."""
        query = {"limit": str(LIMIT)}
        if page == "filtered":
            query["status"] = Status.HELD
        if page == "deep":
            item = next(iter(self.table.items.values())) if self.jobs == 1 else self._middle()
            query["cursor"] = cursor_of({name: item[name] for name in ("pk", "sk", CREATED_AT)})
        several = {name: [value] for name, value in query.items()}
        return event("jobs_list") | {
            "queryStringParameters": query,
            "multiValueQueryStringParameters": several,
        }

    def _middle(self) -> Item:
        return self.table.items[f"ada-{self.jobs // 2:010}", "job"]

    def measured(self, page: str) -> Mapping[str, float]:
        """The milliseconds of one answer, and what it read."""
        before = self.table.counted.copy()
        request = dict(self.request(page))
        began = time.perf_counter()
        answer(self.table.store, request)
        seconds = time.perf_counter() - began
        read = self.table.counted - before
        return {"ms": 1000 * seconds, "rows": read["rows"], "calls": read["calls"]}


def answer(store: DynamoJobs, request: Mapping[str, Any]) -> str:
    """What the handler answers over this table."""
    world = SimpleNamespace(jobs=store)
    with patch.object(jobs_function, "bootstrap", lambda: world), quiet():
        found = jobs_function.handler(dict(request), Context())
    if found["statusCode"] != 200:  # HTTP's
        raise AssertionError(found)
    return str(found["body"])


@contextmanager
def quiet() -> Iterator[None]:
    with redirect_stdout(io.StringIO()), patch.object(jobs_function.logger, "info"):
        yield


def checked() -> None:
    """Raise AssertionError where moto's table answers otherwise than ours."""
    lists = Lists(CHECKED_WITH_MOTO)
    with moto() as aws:
        table = aws.table()
        for item in items(CHECKED_WITH_MOTO):
            aws.dynamodb.put_item(TableName=table, Item=item)
        for page in PAGES:
            request = lists.request(page)
            ours = answer(lists.table.store, request)
            if ours != answer(DynamoJobs(aws.dynamodb, table), request):
                raise AssertionError(f"moto's {page} page is another")


def run(sizes: list[int]) -> list[Mapping[str, Any]]:
    """What each page costs at each of these sizes, measured in turn."""
    checked()
    worlds = [Lists(each) for each in sizes]
    found: dict[tuple[int, str], list[Mapping[str, float]]] = {}
    for _ in range(RUNS):
        for world in worlds:
            for page in PAGES:
                found.setdefault((world.jobs, page), []).append(world.measured(page))
    return [
        {
            "jobs": jobs,
            "page": page,
            "runs": [row["ms"] for row in rows],
            "p50": statistics.median(row["ms"] for row in rows),
            "rows": max(row["rows"] for row in rows),
            "calls": max(row["calls"] for row in rows),
        }
        for (jobs, page), rows in found.items()
    ]
