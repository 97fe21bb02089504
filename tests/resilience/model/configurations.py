"""The bounds that are checked; the name of each says what it is about."""

from collections.abc import Sequence

from tests.resilience.model.bounds import Bounds, Fault

EVERY = frozenset(Fault)

# Some 100,000 states, for the test suite.
SMALL: Sequence[Bounds] = (
    Bounds("any two accidents", faults=2),
    Bounds("any accident, two of each worker", faults=1, submitters=2, receivers=2, keepers=2),
    Bounds("any accident, and a round", faults=1, rounds=1),
    Bounds("any accident, and a person", faults=1, decisions=1),
    Bounds("any accident, or a deadline too early", faults=1, kinds=EVERY, rounds=1, keepers=2),
    Bounds("two jobs, one slot", jobs=2),
    Bounds("two equal jobs", jobs=2, slots=2, twins=True, submitters=2),
    Bounds("two jobs, money for one", jobs=2, slots=2, budget=4.0),
)

# Some ten million, for whoever has minutes.
FULL: Sequence[Bounds] = (
    *SMALL,
    Bounds("any three accidents", faults=3),
    Bounds("any two accidents, and a round", faults=2, rounds=1),
    Bounds("any two accidents, and a person", faults=2, decisions=1),
    Bounds("any accident, a round, a person", faults=1, rounds=1, decisions=1),
    Bounds("any accident, a round, two of each", faults=1, rounds=1, submitters=2, receivers=2),
    Bounds("any two, or a deadline too early", faults=2, kinds=EVERY, rounds=1, keepers=2),
    Bounds("any accident, and a person says two things", faults=1, decisions=2),
    Bounds("two jobs, one slot, two submitters", jobs=2, submitters=2),
    Bounds("two jobs, one slot, any accident", jobs=2, faults=1),
    Bounds("two equal jobs, any accident", jobs=2, slots=2, twins=True, faults=1, submitters=2),
    Bounds("two jobs, money for one, any accident", jobs=2, slots=2, budget=4.0, faults=1),
    Bounds("two jobs, money for one, a person", jobs=2, slots=2, budget=4.0, decisions=1),
)
