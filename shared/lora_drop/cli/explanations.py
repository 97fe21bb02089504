"""What every code means that a person may meet: of a dataset's check, of a job, of fal, and the exit codes of the command."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from lora_drop.datasets.problem_codes import MEANINGS, PREFIXES, Kind
from lora_drop.fal.errors import FAL_ERRORS, SCHEMA, fal_error
from lora_drop.fal.status import MONEY

FAL = "fal_"
LIKE = 0.6  # of difflib's ratio: what may be meant
SUGGESTED = 4  # codes
OF_JOBS = "A job on its way"
OF_PROOF = "A proof sheet"
OF_FAL = "A training that fal ended with an error"
OF_EXITS = "Exit codes of the command"
COMES_OF: Mapping[Kind, str] = {
    Kind.REFUSES: "Nothing is sent to fal and nothing is paid until it is put right.",
    Kind.WARNS: "It is trained on all the same, and could train better.",
    Kind.CHANGES: "It was changed in the copy that fal gets; your own files stay as they are.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code: what it means, why it is so or what comes of it, and what to do."""

    code: str
    about: str
    means: str
    why: str
    do: str


# Code: what it means, why, what to do. A test compares the codes with those that the program gives.
JOBS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "submit_unknown": (
            "The order was sent to fal, and no answer came that proves anything.",
            "fal may have accepted it, and a second order would be paid a second time, so nothing is sent again.",
            (
                "Wait: fal's webhook or its list of requests settles it by itself in most cases. If it stays so, look for the "
                "request at https://fal.ai/dashboard/requests, then say what is there: lora-drop resolve JOB --request-id ID, "
                "or --not-submitted where fal has none."
            ),
        ),
        "fal_unreachable": (
            "fal could not be reached.",
            "No byte of the order has left, so nothing was paid.",
            "Nothing: it is tried again by itself every few minutes. https://status.fal.ai says what is wrong.",
        ),
        "fal_busy": (
            "fal takes no more requests of this account now (429).",
            "It was refused before it was accepted, so nothing was paid.",
            "Nothing: it is tried again by itself every few minutes.",
        ),
        "lora_missing": (
            "A picture of a proof sheet could not be made: the LoRA is no longer in the models bucket.",
            "fal fetches the LoRA from there when the picture is made; nothing was paid for this one.",
            "Put the LoRA back if you need it. The proof sheet goes without this picture; the training is not touched.",
        ),
        "picture_blackened": (
            "fal's safety checker has made a picture of a proof sheet black.",
            "It looks at what was made, not at your photos, and is sometimes wrong; fal bills the picture all the same.",
            "Nothing: the other pictures count, and the LoRA is not touched.",
        ),
        "result_expired": (
            "fal no longer knows the request.",
            "fal keeps the result of a request for a limited time, and it was not fetched in that time.",
            "Look for the request at https://fal.ai/dashboard/requests; else pay for it once more: lora-drop retry JOB",
        ),
        "result_denied": (
            "fal says that it has no result of this request.",
            "One such answer may be a mistake of the moment: it is asked once more in a few minutes, then the job ends.",
            "Wait for a few minutes: lora-drop job JOB",
        ),
        "result_invalid": (
            "A file of the result is not what its name says.",
            "It was fetched twice and was no valid file both times; its bytes are kept beside the job's other files.",
            "Ask fal about the request, and keep its id; lora-drop retry JOB pays for another training.",
        ),
        "result_too_large": (
            "A file of the result is larger than any that is kept.",
            "A LoRA of this size is not one that these trainers make.",
            "Ask fal about the request, and look for the file at https://fal.ai/dashboard/requests.",
        ),
        "result_incomplete": (
            "fal no longer has the whole result.",
            "What could be fetched is stored; the rest was gone before it was copied.",
            "Fetch what there is: lora-drop download JOB. lora-drop retry JOB pays for another training.",
        ),
        "result_without_files": (
            "fal says that the training succeeded, and its result names no LoRA.",
            "It is fal's answer; it was read more than once.",
            "Ask fal about the request. lora-drop retry JOB pays for another training.",
        ),
        "result_not_copied": (
            "The result could not be copied into the models bucket.",
            "fal's file was unreachable, or the stack may not write.",
            "Read the message of the job: lora-drop job JOB. When its cause is mended: lora-drop redrive",
        ),
        "checkpoint_missing": (
            "The LoRA that this training was to go on from is no longer in the models bucket.",
            "It was deleted after the dataset had been checked; nothing was paid.",
            "Put it back and let the job go on: lora-drop approve JOB. Or end it: lora-drop cancel JOB",
        ),
        "clean_copy_missing": (
            "The mended copy of the dataset is no longer there.",
            "Old files are deleted after a time, and this job has waited for longer; nothing was paid.",
            "End the job, and drop the dataset again: lora-drop cancel JOB",
        ),
        "cancelled_by_person": (
            "It was cancelled.",
            "A person has ended it; who and when is kept with the job.",
            "Nothing. To train it after all: lora-drop retry JOB",
        ),
        "cancel_requested": (
            "fal was asked to stop the training.",
            "One that runs already may still end, and is then billed and kept.",
            "Wait for what fal says: lora-drop job JOB",
        ),
        "payment_uncertain": (
            "fal may have billed the job without training anything.",
            "It ended in a way of which fal does not say whether it is billed.",
            "Pay for it once more: lora-drop approve JOB. Or end it: lora-drop cancel JOB",
        ),
        "budget_exhausted": (
            "The training costs more than is left of this month's budget (MonthlyBudgetUsd).",
            "The stack spends no more than its owner has allowed.",
            (
                "Wait for the next month, or have the owner decide: lora-drop approve JOB, or lora-drop deploy dev "
                "--parameter MonthlyBudgetUsd=200. lora-drop budget shows the month."
            ),
        ),
        "job_over_limit": (
            "The training costs more than one may (MaxJobUsd).",
            "A slip in the number of steps is stopped before it is paid.",
            "Let it go on where it is meant: lora-drop approve JOB. Or drop the dataset with fewer steps.",
        ),
        "price_unknown": (
            "The price of this trainer is not known.",
            "fal's price list could not be read and the table has none, so the budget cannot be kept.",
            "Look at fal's page of the trainer, then: lora-drop approve JOB",
        ),
        "earlier_result_came": (
            "An earlier job of the same dataset has got its result after all.",
            "It was given up before this one was asked for; nothing was paid for this one.",
            "End this one: lora-drop cancel JOB. Or train once more: lora-drop approve JOB",
        ),
        "duplicate_in_progress": (
            "Another job has the same photos, captions and parameters, and has not ended.",
            "The same training is paid for once: this job takes over what comes of the other.",
            "Wait. To train it twice on purpose, drop it with --force.",
        ),
        "fal_key_refused": (
            "fal does not know the key of this stack (401).",
            "The key was deleted at fal, or a wrong one is in the secret; nothing was paid.",
            "Put in a valid key: lora-drop deploy dev --replace-key. Then: lora-drop approve JOB",
        ),
        "fal_payment_required": (
            "fal asks for payment (402).",
            "The balance of the account at fal does not suffice; nothing was paid.",
            "Top up the balance at https://fal.ai/dashboard/billing, then: lora-drop approve JOB",
        ),
        "fal_balance_too_low": (
            "fal's balance is less than this training costs.",
            "The balance was looked at before anything was sent; trainings that run take their part of it.",
            "Top up the balance at https://fal.ai/dashboard/billing; it goes on within the hour, at once with lora-drop approve JOB",
        ),
        "fal_account_locked": (
            "fal refused the key, or the account is locked (403).",
            "fal locks an account whose balance is exhausted, and a key may lack the right; nothing was paid.",
            "Look at both in fal's dashboard, then: lora-drop approve JOB",
        ),
        "fal_bad_request": (
            "fal could not make sense of the request (400).",
            "What was sent is not what fal takes, which is a mistake of lora-drop.",
            "Please report it, with the job's id.",
        ),
        "fal_unknown_application": (
            "fal has no such trainer (404).",
            "The trainer was renamed or withdrawn; nothing was paid.",
            "Choose another: docs/trainers.md lists them, --trainer names one.",
        ),
        "fal_request_too_large": (
            "fal refused the request as too large (413).",
            "It was refused before it was accepted, so nothing was paid.",
            "Choose fewer or smaller photos, then drop the dataset again.",
        ),
        "fal_invalid_input": (
            "fal refused the parameters (422).",
            "fal takes other values than our table says; nothing was paid.",
            "Read the message of the job, correct the parameter, and drop the dataset again.",
        ),
        "fal_storage_refused": (
            "fal's storage does not take the dataset.",
            "With DatasetDelivery=fal the dataset is uploaded to fal before the training is ordered; nothing was paid.",
            "Deliver by a presigned address: lora-drop deploy dev --parameter DatasetDelivery=presigned",
        ),
    }
)
PROOFS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "likeness": (
            "How much the faces in a proof sheet look like the photos; beside it is what the photos reach among themselves.",
            "1 is the same face, another person's stays below 0.35, and photos that differ much do not reach 1 either.",
            "Where it is below three quarters of the photos' own, the sheet says what helps. It is advice: look at the pictures.",
        ),
        "proof": (
            "A proof sheet: four pictures that are made with a new LoRA, for about $0.14, beside some of the photos.",
            "It shows whether the LoRA looks like the person before you use it. A picture that fails is not paid for again.",
            "Order it with lora-drop train PATH --proof. Then lora-drop job JOB and lora-drop download JOB show it.",
        ),
    }
)
EXITS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "0": (
            "It was done; of `train`: the LoRA is there.",
            "All that was asked for has happened.",
            "Nothing.",
        ),
        "1": (
            "It was not done; of `check`: a dataset is rejected.",
            "The sentence on standard error says why.",
            "Do what the sentence says.",
        ),
        "2": (
            "The command line is wrong.",
            "An option or an argument is not one that the command takes.",
            "Read what it takes: lora-drop COMMAND --help",
        ),
        "130": (
            "It was interrupted (Ctrl-C).",
            "A training that was begun goes on by itself.",
            "Follow it again: lora-drop watch JOB. With a fal key alone, give the same command with --direct again: it pays nothing.",
        ),
    }
)


@cache
def explanations() -> Mapping[str, Explanation]:
    """Every code in the order of what it speaks of."""
    return {each.code: each for each in _all()}


def _all() -> Iterator[Explanation]:
    for prefix, of in PREFIXES.items():
        about = f"A dataset's check: {of}"
        for code, meaning in MEANINGS.items():
            if code.startswith(f"{prefix}_"):
                yield Explanation(code, about, meaning.means, COMES_OF[meaning.kind], meaning.do)
    for code, words in JOBS.items():
        yield Explanation(code, OF_JOBS, *words)
    for code, words in PROOFS.items():
        yield Explanation(code, OF_PROOF, *words)
    for kind in FAL_ERRORS:
        if FAL + kind not in JOBS:
            yield _of_fal(kind)
    for code, words in EXITS.items():
        yield Explanation(code, OF_EXITS, *words)


def _of_fal(kind: str) -> Explanation:
    error = fal_error(kind, request_id="ID")
    again = "may do better the next time" if error.retry else "would fail again as it is"
    return Explanation(
        error.code,
        OF_FAL,
        f"fal ended the training with the error “{kind}”.",
        f"{MONEY[error.billed]} The same dataset {again}.",
        error.advice,
    )


def explained(asked: str) -> Explanation | None:
    """The explanation of a code as a person writes it, with or without fal's prefix; None for an unknown one."""
    code = re.sub(r"[\s-]+", "_", asked.strip().lower()).removeprefix("[").removesuffix("]")
    known = explanations()
    for each in (code, FAL + code):
        if each in known:
            return known[each]
    kind = code.removeprefix(FAL)
    return _of_fal(kind) if code.startswith(FAL) and SCHEMA.fullmatch(kind) else None


def suggestions(asked: str) -> list[str]:
    """Codes that may be meant by one that is not known."""
    code = re.sub(r"[\s-]+", "_", asked.strip().lower())
    inside = [each for each in explanations() if len(code) > 2 and code in each]  # noqa: PLR2004  # “ab” is in too many
    close = difflib.get_close_matches(code, explanations(), n=SUGGESTED, cutoff=LIKE)
    return list(dict.fromkeys([*close, *inside]))[:SUGGESTED]
