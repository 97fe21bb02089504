"""The guards of the real code: take any one of them off, and the check must find a violation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lora_drop.jobs.status import Status
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.reconcile import Reconciler
from tests.resilience.model import off
from tests.resilience.model.bounds import Bounds, Decision, Fault
from tests.resilience.model.off import Off
from tests.resilience.model.search import Found, Search
from tests.resilience.model.services import rehearsing
from tests.resilience.model.universe import Universe


@dataclass(frozen=True, slots=True)
class Guard:
    """What is promised, how to break it, and where that shows."""

    name: str
    off: Off
    bounds: Bounds

    def missed(self) -> Found:
        """What the check finds without this guard."""
        with self.off():
            return check(self.bounds)

    def kept(self) -> Found:
        """What it finds within the same bounds when the guard is there."""
        return _checked(self.bounds)


@cache
def _checked(bounds: Bounds) -> Found:
    return check(bounds)


def check(bounds: Bounds) -> Found:
    """Everything within these bounds, or the way to the first violation."""
    with rehearsing():
        return Search(Universe(bounds)).run()


def few(*kinds: Fault, **changes: Any) -> Bounds:
    """Bounds in which one of these goes wrong, and little else happens."""
    given = {"faults": 1 if kinds else 0, "kinds": frozenset(kinds)}
    return Bounds("few", **{**given, **changes})


# A job is given up, since fal denies it twice; its twin is paid for, and then the webhook comes.
TWINS = {"rounds": 2, "jobs": 2, "twins": True, "keepers": 0}

GUARDS: Sequence[Guard] = (
    Guard(
        "a new job never takes the place of one that is there",
        off.unconditional("add_actions"),
        few(Fault.DOUBLED, submitters=2),
    ),
    Guard(
        "only who has read the newest version writes a job",
        off.unconditional("replace_actions"),
        few(Fault.DOUBLED, submitters=2),
    ),
    Guard("the intent is written before the POST", off.post_first, few(Fault.CRASH)),
    Guard(
        "no clock sends a dead submission again",
        off.helps(Status.SUBMITTING, by=off.ready_again),
        few(Fault.CRASH, rounds=1),
    ),
    Guard(
        "a submission in doubt is never sent again by itself",
        off.helps(Status.SUBMIT_UNKNOWN, by=off.ready_again),
        few(Fault.UNANSWERED, rounds=1),
    ),
    Guard(
        "a lost answer is not taken for a POST that never left",
        off.settled(Status.SUBMIT_UNKNOWN, to=Status.READY),
        few(Fault.UNANSWERED),
    ),
    Guard(
        "a POST that never left is sent later, without asking anybody",
        off.settled(Status.READY, to=Status.SUBMIT_UNKNOWN),
        few(Fault.UNSENT),
    ),
    Guard("a submission is one POST", off.posts_again, few(Fault.UNANSWERED)),
    Guard(
        "a submitter settles no intent but its own",
        off.settles_any_intent,
        few(Fault.FAILED, decisions=1, says=frozenset({Decision.CANCEL}), submitters=2),
    ),
    Guard(
        "nobody pays for what has come after all",
        off.pays_for_what_came,
        few(Fault.FORGOTTEN, **TWINS),
    ),
    Guard(
        "nobody pays for what comes at this very moment",
        off.looked_before,
        few(Fault.FORGOTTEN, **TWINS),
    ),
    Guard("only our own address speaks for a job", off.any_token, few(Fault.STRAY)),
    Guard(
        "a job listens to no request but its own",
        off.any_request,
        few(Fault.UNANSWERED, decisions=1, says=frozenset({Decision.NOT_SUBMITTED})),
    ),
    Guard(
        "an earlier request of the job is over",
        off.forgets_earlier,
        few(Fault.FAILED, rounds=1),
    ),
    Guard("a fact that is no news moves nothing", off.moves_anyhow, few(rounds=2)),
    Guard("what has ended stays as it is", off.ended_moves, few(Fault.DOUBLED)),
    Guard(
        "a result that comes after all is taken",
        off.given_up_for_good,
        few(Fault.DENIED, faults=2, rounds=2),
    ),
    Guard(
        "fal has to say twice that it has no such request",
        off.denied_once,
        few(Fault.DENIED, rounds=1),
    ),
    Guard(
        "fal has to say twice that it has no such result",
        off.result_denied_once,
        few(Fault.BARE, Fault.DENIED, faults=2),
    ),
    Guard("the webhook says 200 only to what is written down", off.always_200, few()),
    Guard("a result is handed to the store worker", off.not_handed_over, few()),
    Guard(
        "the reconciler hands over again",
        off.helps(Status.STORING),
        few(Fault.LOST),
    ),
    Guard(
        "the reconciler asks about late jobs",
        off.helps(Status.SUBMITTED, Status.TRAINING),
        few(Fault.LOST),
    ),
    Guard(
        "the reconciler marks dead submissions",
        off.helps(Status.SUBMITTING),
        few(Fault.CRASH),
    ),
    Guard(
        "evidence decides only when there is one request",
        off.any_evidence,
        few(Fault.UNANSWERED, Fault.ELSEWHERE, faults=2, rounds=1),
    ),
    Guard("every dataset has a job, or gets one", off.not_swept, few(Fault.LOST)),
    Guard("no more at fal than there are slots", off.no_slot_limit, few(jobs=2)),
    Guard("a slot is given back", off.slot_kept, few()),
    Guard("money that is not paid is given back", off.money_kept, few(Fault.UNSENT)),
    Guard(
        "whoever gives back a slot calls the next",
        off.nobody_is_called(FalUpdateHandler, "receive"),
        few(jobs=2),
    ),
    Guard(
        "the reconciler calls whoever waits too long",
        off.nobody_is_called(Reconciler, "reconcile"),
        few(Fault.UNSENT),
    ),
    Guard("a month costs no more than its budget", off.no_budget, few(jobs=2, slots=2, budget=4.0)),
    Guard(
        "equal datasets are paid for once",
        off.unclaimed,
        few(jobs=2, twins=True, slots=2, submitters=2),
    ),
    Guard("a job succeeds when its weights are stored", off.succeeds_first, few()),
    Guard("a dead worker's lease ends", off.leases_for_ever, few(Fault.CRASH)),
)
