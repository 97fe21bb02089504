"""``make iam``: what each function is granted and uses, and how many dropped rights broke a test.

``python -m tests.security.iam FetchFunction`` is about that one alone.
"""

import sys
import warnings

from tests import conftest  # noqa: F401  # Powertools reads its names from the environment
from tests.security.iam.least_privilege import mutations, survives, used
from tests.security.iam.policies import functions

ROW = "{:<20}{:>9}{:>7}{:>9}{:>9}"


def main() -> None:
    """Print it, and fail where anything is unused, missing or not missed."""
    warnings.filterwarnings("ignore", "No application metrics to publish")
    found, names = used(), sys.argv[1:] or list(functions())
    _say(ROW.format("function", "granted", "used", "unused", "missing"))
    wrong: list[str] = []
    for function in names:
        granted, unused = found.granted(function), found.unused(function)
        missing = found.missing(function)
        row = (len(granted), len(granted) - len(unused), len(unused), len(missing))
        _say(ROW.format(function, *row))
        wrong += [
            f"{function}: {each.sid}: no scenario uses {each.action} on {each.resource}"
            for each in unused
        ]
        wrong += [f"{function}: needs {each.action} on {each.resource}" for each in missing]
    dropped = [each for each in mutations(found.policies) if each.function in names]
    alive = [each for each in dropped if survives(each, found.needing(each.function, each.dropped))]
    wrong += [f"{each.name}: dropped, and nothing broke" for each in alive]
    statements = sum(each.whole for each in dropped)
    _say("")
    _say(
        f"dropped {len(dropped)} parts of the policies ({statements} statements, "
        f"{len(dropped) - statements} single rights): {len(dropped) - len(alive)} broke a test"
    )
    if wrong:
        sys.exit("\n".join(wrong))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


main()
