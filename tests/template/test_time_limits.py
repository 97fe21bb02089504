"""Every time that follows from how long a function lives, held against template.yaml."""

from datetime import timedelta

import pytest

from lora_drop.jobs import time_limits as limits
from lora_drop.services import notify
from lora_drop.services.reconcile import OVERDUE_AFTER
from lora_drop.services.sweep import LEFT_AFTER
from tests.support.template import properties, template

FUNCTIONS = ("Submit", "Store", "Reconcile", "Forget", "Webhook", "Jobs", "Notify", "Fetch")
LATE_AFTER = timedelta(seconds=template()["Parameters"]["LateAfterSeconds"]["Default"])
# Below each other in this order, strictly: name, then what has to fit, from short to long.
ORDERS = {
    "the submitter ends by itself": (
        limits.CHECK_PATIENCE,
        limits.MEND_PATIENCE - timedelta(seconds=60),
        limits.SUBMIT - timedelta(seconds=20),
        limits.SUBMIT,
        limits.SUBMIT_DEADLINE,
    ),
    "a proof sheet ends by itself": (
        limits.PROOF_PATIENCE + timedelta(seconds=120),
        limits.SUBMIT,
    ),
    "what is sent is sent in one life": (
        limits.DISPATCH_PATIENCE
        + limits.UPLOAD_PATIENCE
        + limits.POST_PATIENCE
        + timedelta(seconds=20),
        limits.SUBMIT,
        limits.SUBMIT_DEADLINE,
        OVERDUE_AFTER,
    ),
    "an event is left only by the dead": (limits.POST_PATIENCE, LEFT_AFTER),
    "a lease outlasts a run by ranges": (
        limits.STORE_PATIENCE + timedelta(seconds=30),
        limits.STORE_LEASE,
        limits.ABANDONED_AFTER,
    ),
    "a file without ranges ends by itself": (
        limits.STORE_PATIENCE_WHOLE + timedelta(seconds=60),
        limits.STORE,
    ),
    "a dataset from an address ends by itself": (
        limits.FETCH_PATIENCE + timedelta(seconds=60),
        limits.FETCH,
        limits.FETCH_DEADLINE,
        limits.FETCH_GIVEN_UP,
    ),
    "a denied result is asked for in the next round": (limits.DENIAL_STANDS, LATE_AFTER),
    "a round ends by itself": (
        limits.ROUND_PATIENCE + limits.EVENTS_PATIENCE + timedelta(seconds=20),
        limits.RECONCILE,
    ),
    "notifications end by themselves": (
        timedelta(seconds=notify.PATIENCE + 5),
        timedelta(seconds=properties("NotifyFunction")["Timeout"]),
    ),
    "an erasure ends by itself": (limits.FORGET_PATIENCE + timedelta(seconds=10), limits.FORGET),
    "no function outlives the last look": (
        limits.LONGEST + timedelta(seconds=30),
        limits.ALL_ENDED,
    ),
}


def timeout_of(function: str) -> timedelta:
    whole = template()["Globals"]["Function"] | properties(f"{function}Function")
    return timedelta(seconds=whole["Timeout"])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_code_and_template_agree(function: str) -> None:
    own = getattr(limits, function.upper(), None)
    assert own in (None, timeout_of(function))
    assert timeout_of(function) <= limits.LONGEST


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("name", ORDERS)
def test_work_ends_before_its_function(name: str) -> None:
    """Each piece of work ends before its function is ended, and is taken up only after."""
    times = ORDERS[name]
    assert list(times) == sorted(set(times))


@pytest.mark.parametrize(
    ("queue", "lives"), [("Inbox", 6), ("Results", 1.2), ("Fetch", 1.2), ("Notify", 6)]
)
def test_a_message_waits_for_lives_of_its_function(queue: str, lives: float) -> None:
    """Six of them (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).

    Of the store function just one: its lease makes a second delivery harmless, and a failed copy has to be tried
    again while fal keeps the file.
    """
    function = {"Inbox": "Submit", "Results": "Store"}.get(queue, queue)
    waits = timedelta(seconds=properties(f"{queue}Queue")["VisibilityTimeout"])
    assert waits == lives * timeout_of(function)
