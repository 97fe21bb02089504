"""``python -m tests.growth burst|list|job|emulator [SIZE …]``: what grows with the number of jobs, a line of JSON for each measurement."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from tests.growth import burst, emulator, function_costs, lists


def main() -> None:
    what, *sizes = sys.argv[1:]
    many = [int(each) for each in sizes]
    rows: Iterable[Mapping[str, Any]]
    if what == "burst":
        rows = (burst.Burst(each).run() for each in many)
    elif what == "list":
        rows = lists.run(many)
    elif what == "emulator":
        rows = map(emulator.run, many)
    else:
        rows = function_costs.run()
    for row in rows:
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
