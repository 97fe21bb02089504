"""The problems that stop a job on its way, other than those of its dataset and fal's own errors."""

from collections.abc import Iterable

from lora_drop.fal.status import MONEY
from lora_drop.jobs.problems import Problem


def submission_unknown(reason: str) -> Problem:
    """Return the problem of a submission whose answer, ``reason`` says which, does not prove anything."""
    return Problem(
        code="submit_unknown",
        message=f"{reason[:1].upper()}{reason[1:]}, so the training may have been accepted. fal's webhook or "
        "its list of requests will tell. If neither does, look for the request in fal's dashboard and "
        "say so: lora-drop resolve JOB --request-id ID, or --not-submitted to pay for it once more.",
    )


WITHOUT_IT = "The proof sheet is made without this picture."

# The function that submitted the job died before it had written down what fal answered.
UNKNOWN = submission_unknown("the submission was interrupted")
FAL_UNREACHABLE = Problem(
    code="fal_unreachable",
    message="fal could not be reached, so nothing was sent and nothing was paid. It is tried again "
    "by itself every few minutes.",
)
FAL_BUSY = Problem(
    code="fal_busy",
    message="fal takes no more requests now (429), so nothing was paid. It is tried again by itself every few "
    "minutes.",
)
GONE = Problem(
    code="result_expired",
    message="fal no longer knows this request: it keeps a result for about an hour. "
    "Look for it in fal's dashboard, or pay for a new training with lora-drop retry JOB.",
)
PICTURE_GONE = Problem(
    code="result_expired",
    message="fal no longer knows the request of this picture: it keeps a result for about an hour. Look for it in fal's "
    f"dashboard. {WITHOUT_IT}",
)
DENIED = Problem(
    code="result_denied",
    message="fal says that it has no result of this request. It is asked once more in a few minutes; "
    "if it says so again, the job ends.",
)
CHECKPOINT_MISSING = Problem(
    code="checkpoint_missing",
    message="The LoRA that this training was to go on from is no longer in the models bucket. Put "
    "it back and let the job go on with lora-drop approve JOB, or cancel it.",
)
LORA_MISSING = Problem(
    code="lora_missing",
    message="The LoRA that this picture was to be made with is no longer in the models bucket. Nothing was paid. "
    f"{WITHOUT_IT}",
)
PICTURE_BLACKENED = Problem(
    code="picture_blackened",
    message="fal's safety checker has made this picture black. It was paid for; the LoRA is not touched by that.",
)
COPY_MISSING = Problem(
    code="clean_copy_missing",
    message="The mended copy of the dataset (dataset.zip beside this file) is no longer there. Cancel "
    "this job with lora-drop cancel JOB, and drop the dataset again.",
)
CANCELLED = Problem(
    code="cancelled_by_person",
    message="It was cancelled before it was sent; nothing was paid. lora-drop retry JOB sends it "
    "after all.",
)
PICTURE_CANCELLED = Problem(
    code="cancelled_by_person",
    message=f"It was cancelled before it was sent; nothing was paid. {WITHOUT_IT}",
)
CANCELLED_UNCHECKED = Problem(
    code="cancelled_by_person",
    message="It was cancelled before it was checked; nothing was paid. Drop the dataset again to "
    "train it after all.",
)
DATASET_UNREADABLE = Problem(
    code="dataset_unreadable",
    message="The dataset is there and may not be read: a right is missing, or the key it is "
    "encrypted with. It is tried again every hour, and at once with lora-drop approve JOB.",
)
CANCEL_REQUESTED = Problem(
    code="cancel_requested",
    message="fal was asked to stop the training. One that runs already may still end, and is then "
    "billed and kept.",
)
PAY_ONCE_MORE = Problem(
    code="payment_uncertain",
    message="fal may have billed it without training anything. Pay for it once more, with a fresh "
    "address of the dataset, with lora-drop approve JOB, or end it with lora-drop cancel JOB.",
)
# How to have the same address fetched once more.
ORDER_AGAIN = "then order it again with another Idempotency-Key"
URL_GONE = Problem(
    code="dataset_url_gone",
    message="The dataset's address gives no file: the server answered that it is not there, or may not be had "
    f"(400, 401, 403, 404 or 410), as a signed address does that has run out. Correct it, {ORDER_AGAIN}.",
)
URL_TOO_LARGE = Problem(
    code="dataset_url_too_large",
    message="What the dataset's address gives is 4 GiB or more. Choose the best 20 to 50 photos, put the smaller ZIP "
    f"there, {ORDER_AGAIN}.",
)
URL_NOT_ALLOWED = Problem(
    code="dataset_url_not_allowed",
    message="The dataset's address leads to a host that this stack fetches nothing from (DatasetHosts), or into a "
    f"private network. Put the file on a host of the list, {ORDER_AGAIN}.",
)


def url_unreachable(*, over: bool) -> Problem:
    """Return the problem that an address does not give its file; ``over``: it is not tried again."""
    return Problem(
        code="dataset_url_unreachable",
        message="The dataset's address did not give the whole file: the server could not be reached, answered with an "
        f"error, or stopped in the middle. {_tried(over=over)}",
    )


def url_timeout(*, over: bool) -> Problem:
    """Return the problem that an address gives its file too slowly; ``over``: it is not tried again."""
    return Problem(
        code="dataset_url_timeout",
        message=f"The dataset's address gives its file too slowly. {_tried(over=over)}",
    )


def _tried(*, over: bool) -> str:
    if over:
        return f"It was tried for an hour; nothing was paid. See that it can be downloaded, {ORDER_AGAIN}."
    return "It is tried again by itself every few minutes, for an hour since it was ordered."


BUDGET_EXHAUSTED = "budget_exhausted"
JOB_OVER_LIMIT = "job_over_limit"
PRICE_UNKNOWN = "price_unknown"
EARLIER_CAME = "earlier_result_came"
RESULT_INVALID = "result_invalid"
# What a person's approval overrides; every other cause has to be over before a job goes on.
MONEY_CODES = frozenset({BUDGET_EXHAUSTED, JOB_OVER_LIMIT, PRICE_UNKNOWN, "payment_uncertain"})
# Causes that may be over by themselves, and cost nothing to try.
PROBED_CODES = frozenset({"dataset_unreadable"})
# What fal holds against the account: no other job would fare better.
ACCOUNT_CODES = frozenset(
    {"fal_key_refused", "fal_payment_required", "fal_account_locked", "fal_balance_too_low"}
)


def cancelled_at_fal(*, billed: bool | None, picture: bool = False) -> Problem:
    """Return the problem that fal has stopped a training, or a picture, because a person wanted it to."""
    on = WITHOUT_IT if picture else "lora-drop retry JOB trains it after all."
    return Problem(
        code="cancelled_by_person",
        message=f"It was cancelled, and fal has stopped it. {MONEY[billed]} {on}",
    )


def over_budget(cost: float, limit: float) -> Problem:
    """Return the problem that the month has no money left for this training."""
    return Problem(
        code=BUDGET_EXHAUSTED,
        message=f"This training costs about ${cost:.2f}, more than is left of this month's "
        f"${limit:.2f} (MonthlyBudgetUsd). It goes on when the month turns or the budget is raised, "
        "or now with lora-drop approve JOB.",
    )


def balance_too_low(cost: float, balance: float, reserved: float) -> Problem:
    """Return the problem that fal's balance does not suffice for this training."""
    taken = f", ${reserved:.2f} of it for trainings that run" if reserved else ""
    return Problem(
        code="fal_balance_too_low",
        message=f"fal's balance is ${balance:.2f}{taken}, this training costs about ${cost:.2f}: top up at "
        "https://fal.ai/dashboard/billing, then lora-drop approve JOB. Without that it is looked at again "
        "every hour, and goes on when the balance suffices. Nothing was sent.",
    )


def over_limit(cost: float, limit: float) -> Problem:
    """Return the problem that this training costs more than one may."""
    return Problem(
        code=JOB_OVER_LIMIT,
        message=f"This training costs about ${cost:.2f}; one may cost ${limit:.2f} (MaxJobUsd). "
        "Let it go on with lora-drop approve JOB, or drop the dataset with fewer steps.",
    )


def price_unknown(application: str) -> Problem:
    """Return the problem that the price of this trainer is unknown."""
    return Problem(
        code=PRICE_UNKNOWN,
        message=f"The price of {application} is unknown: fal's prices could not be read and the "
        "table has none. Let it go on with lora-drop approve JOB.",
    )


def came_after_all(job_id: str) -> Problem:
    """Return the problem that an earlier job got its result after all, so that no second payment is needed."""
    return Problem(
        code=EARLIER_CAME,
        message=f"Job {job_id} was given up before this one was asked for, and has got its result "
        "after all. Nothing was paid for this one: end it with lora-drop cancel JOB, or train "
        "again with lora-drop approve JOB.",
    )


def waits_for(job_id: str, *, held: bool) -> Problem:
    """Return the problem that another job has the same content and has not ended."""
    stands = f"is HELD (lora-drop job {job_id} says why)" if held else "is on its way"
    return Problem(
        code="duplicate_in_progress",
        message=f"Job {job_id} has the same photos, captions and parameters and {stands}. This "
        "job waits for what comes of it and pays nothing. To train them twice, drop them with "
        "metadata force=true.",
    )


def worth_a_probe(problems: Iterable[Problem]) -> bool:
    """Return whether what holds a job may be over by now, and trying costs nothing."""
    return any(problem.code in ACCOUNT_CODES | PROBED_CODES for problem in problems)


def of_account(problems: Iterable[Problem]) -> bool:
    """Return whether one of these is about our account at fal."""
    return any(problem.code in ACCOUNT_CODES for problem in problems)
