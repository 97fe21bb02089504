"""The guards of the real code: without any one of them, an engine that is named here finds a violation.

The model checker looks through every state within the bounds given; the fault schedules run their
scenarios, the mutation's own fixture and some seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lora_drop.jobs.status import Status
from tests.resilience import guards_off as off
from tests.resilience import guards_off_later as later
from tests.resilience import guards_off_proofs as proofs
from tests.resilience.guards_off import Off
from tests.resilience.model.world import Bounds, Decision, Fault


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    off: Off
    model: Bounds | None = None  # within which the model checker finds a violation
    faults: bool = False  # whether the fault schedules find one


def few(*kinds: Fault, **changes: Any) -> Bounds:
    given = {"faults": 1 if kinds else 0, "kinds": frozenset(kinds)}
    return Bounds("few", **{**given, **changes})


# A job is given up, since fal denies it twice; its duplicate is paid for, and then the webhook comes.
DUPLICATES = {"rounds": 2, "jobs": 2, "duplicates": True, "storers": 0}
DOUBT = {"decisions": 1, "says": frozenset({Decision.NOT_SUBMITTED})}
CANCEL = {"decisions": 1, "says": frozenset({Decision.CANCEL})}
AT_FAL = (Status.SUBMITTED, Status.TRAINING)
UNKNOWN = Status.SUBMIT_UNKNOWN

MUTATIONS: Sequence[Mutation] = (
    # The jobs table
    Mutation(
        "a new job never replaces one that is there",
        off.add_overwrites,
        few(Fault.DOUBLED, submitters=2),
    ),
    Mutation(
        "a job is written by a reader of its newest version",
        off.replace_overwrites,
        few(Fault.DOUBLED, submitters=2),
        faults=True,
    ),
    Mutation(
        "no more jobs are at fal than there are slots", off.no_slot_limit, few(jobs=2), faults=True
    ),
    Mutation("a slot is given back", off.slot_kept, few()),
    Mutation("money that is not paid is given back", off.money_kept, few(Fault.UNSENT)),
    Mutation(
        "a month costs no more than its budget", off.no_budget, few(jobs=2, slots=2, budget=4.0)
    ),
    Mutation(
        "equal datasets are paid for once",
        off.unclaimed,
        few(jobs=2, duplicates=True, slots=2, submitters=2),
        faults=True,
    ),
    Mutation("a change that another has left is not taken for told", off.all_told, faults=True),
    # The one POST
    Mutation(
        "the intent is written before the POST", off.post_first, few(Fault.CRASH), faults=True
    ),
    Mutation("a submission is one POST", off.posts_again, few(Fault.UNANSWERED)),
    Mutation(
        "no clock sends a dead submission again",
        later.helps(Status.SUBMITTING, by=later.ready_again),
        few(Fault.CRASH, rounds=1),
        faults=True,
    ),
    Mutation(
        "a submission in doubt is never sent again by itself",
        later.helps(UNKNOWN, by=later.ready_again),
        few(Fault.UNANSWERED, rounds=1),
    ),
    Mutation(
        "a lost answer is not taken for a POST that never left",
        off.settled(UNKNOWN, to=Status.READY),
        few(Fault.UNANSWERED),
    ),
    Mutation(
        "a POST that never left is sent later without a person",
        off.settled(Status.READY, to=UNKNOWN),
        few(Fault.UNSENT),
    ),
    Mutation(
        "a submitter settles no intent but its own",
        off.settles_any_intent,
        few(Fault.FAILED, submitters=2, **CANCEL),
    ),
    Mutation(
        "a result that came after all is not paid for again",
        off.pays_for_what_came,
        few(Fault.FORGOTTEN, **DUPLICATES),
    ),
    Mutation(
        "a result that comes during the intent is not paid for again",
        off.looked_before,
        few(Fault.FORGOTTEN, **DUPLICATES),
    ),
    # What fal reports
    Mutation(
        "a webhook needs the token of its job", later.any_token, few(Fault.STRAY), faults=True
    ),
    Mutation("a webhook needs the signature of fal", later.any_signature, faults=True),
    Mutation(
        "a job takes no status of another request",
        later.any_request,
        few(Fault.UNANSWERED, **DOUBT),
    ),
    Mutation("a job adopts no request of another job", later.adopts_any_request, faults=True),
    Mutation(
        "an earlier request of the job is over", later.forgets_earlier, few(Fault.FAILED, rounds=1)
    ),
    Mutation("a status that is no transition moves nothing", later.moves_anyhow, few(rounds=2)),
    Mutation("a job that has ended does not move", later.ended_moves, few(Fault.DOUBLED)),
    Mutation(
        "a result that comes after all is taken",
        later.given_up_for_good,
        few(Fault.DENIED, faults=2, rounds=2),
        faults=True,
    ),
    Mutation(
        "fal has to deny a request twice",
        later.denied_once,
        few(Fault.DENIED, rounds=1),
        faults=True,
    ),
    Mutation(
        "fal has to deny a result twice",
        later.result_denied_once,
        few(Fault.BARE, Fault.DENIED, faults=2),
    ),
    # A write that loses to another one is tried once more by itself, so it has to lose twice.
    Mutation(
        "the webhook answers 200 only to what is written",
        later.always_200,
        few(Fault.CONTENDED),
    ),
    Mutation("a result is handed to the store worker", later.not_handed_over, few()),
    # fal's own words, on the wire
    Mutation(
        "a result that is not there yet is asked for again", later.any_2xx_is_a_result, faults=True
    ),
    Mutation("only a result says what was billed", later.units_of_a_state, faults=True),
    Mutation("a page of a gateway proves nothing", later.a_page_is_a_refusal, faults=True),
    Mutation("what was refused with 429 is not in doubt", later.too_many_is_in_doubt, faults=True),
    Mutation("a webhook may be signed for fal's last try", later.one_request_id, faults=True),
    Mutation("a signature may be in capitals", later.small_letters, faults=True),
    Mutation("packed signing keys are read", later.keys_stay_packed, faults=True),
    Mutation("a slow file without ranges has a longer run", later.no_longer_run, faults=True),
    Mutation("a 404 of the CDN is not the end of a result", later.a_404_is_the_end, faults=True),
    # The reconciler and the waiting queue
    Mutation("the reconciler hands over again", later.helps(Status.STORING), few(Fault.LOST)),
    Mutation("a lost handover is made good", later.handed_over_once, faults=True),
    Mutation(
        "the reconciler asks about late jobs", later.helps(*AT_FAL), few(Fault.LOST), faults=True
    ),
    Mutation(
        "the reconciler marks dead submissions", later.helps(Status.SUBMITTING), few(Fault.CRASH)
    ),
    Mutation(
        "evidence decides only when there is one request",
        later.any_evidence,
        few(Fault.UNANSWERED, Fault.ELSEWHERE, faults=2, rounds=1),
    ),
    Mutation("every dataset gets a job", later.not_swept("datasets"), few(Fault.LOST), faults=True),
    Mutation("an abandoned upload is ended", later.not_swept("uploads"), faults=True),
    Mutation("the next job that waits is woken", later.wakes_none, faults=True),
    Mutation("a slot that is given back wakes the next job", later.slot_wakes_none, few(jobs=2)),
    Mutation(
        "the reconciler wakes a job that waits too long", later.round_wakes_none, few(Fault.UNSENT)
    ),
    # Proof sheets
    Mutation(
        "a training is open until its sheet is done",
        proofs.closed_with_an_open_sheet,
        few(Fault.LOST, proof=True),
    ),
    Mutation(
        "the reconciler goes on with a sheet",
        proofs.late_sheets_are_left,
        few(Fault.LOST, proof=True),
    ),
    Mutation("a sheet waits for all of its pictures", proofs.made_from_what_has_ended, faults=True),
    # The files
    Mutation(
        "a job succeeds when its weights are stored", later.succeeds_first, few(), faults=True
    ),
    Mutation("the lease of a dead worker ends", later.leases_for_ever, few(Fault.CRASH)),
)
OF_MODEL = [each for each in MUTATIONS if each.model]
OF_FAULTS = [each for each in MUTATIONS if each.faults]
