"""What the library's errors say to a developer: a sentence with what to do, the code beside it, and no client inside."""

import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import lora_drop
from lora_drop.adapters.fal_transport import TO_OPERATORS, Advice, SinglePost
from lora_drop.client import direct_errors, direct_requests
from lora_drop.client.direct_training import to_key_holders
from lora_drop.client.job import Job, result_of
from lora_drop.client.method_advice import method_advice
from lora_drop.client.stack_client import StackClient
from lora_drop.datasets.report import Report, Verdict
from lora_drop.jobs import errors, job_problems
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from tests.support.builders import make_job

NAMED = [
    Problem(code="image_too_small", message=f"{name} has 100 pixels. Take it out.", member=name)
    for name in ("anna.jpg", "bea.jpg")
]
FEW = Problem(code="dataset_insufficient_images", message="There are 3 images. Add 7.")
FAILED = Problem(code="fal_failed", message="fal ended the training.")


def rejected(*problems: Problem) -> Report:
    return Report(file="a.zip", verdict=Verdict.REJECTED, errors=problems)


def posted(status: int, body: Any = None, *, advice: Advice | None = None) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    SinglePost(answer, advice or to_key_holders()).handle_request(
        httpx.Request("POST", "https://f")
    )


def ended(status: Status, *problems: Problem) -> None:
    document = public(make_job(job_id="ada-1", status=status, problems=problems))
    client = object.__new__(StackClient)
    result_of(Job.of(client, "ada-1", {**document, "location": "s3://m/ada"}))


def raised(error: Exception) -> None:
    with direct_errors.advised():
        raise error


Case = tuple[Callable[[], Any], type[lora_drop.LoraDropError], str, str | None]
TYPED: dict[str, Case] = {
    "rejected": (
        lambda: raised(lora_drop.DatasetRejectedError(rejected(*NAMED, FEW))),
        lora_drop.DatasetRejectedError,
        (
            "The dataset cannot be trained on; nothing was paid. anna.jpg has 100 pixels. Take it out. "
            "(1 more of this kind: error.report) There are 3 images. Add 7."
        ),
        "image_too_small",
    ),
    "too few": (
        lambda: raised(direct_errors.rejected(rejected(FEW))),
        lora_drop.InsufficientImagesError,
        "At least 10 images are needed.",
        "dataset_insufficient_images",
    ),
    "job rejected": (
        lambda: ended(Status.REJECTED, FEW),
        lora_drop.DatasetRejectedError,
        "There are 3 images. Add 7.",
        "dataset_insufficient_images",
    ),
    "job failed": (
        lambda: ended(Status.FAILED, FAILED),
        lora_drop.TrainingFailedError,
        "ada-1 is FAILED. fal ended the training. To pay for another training of the same dataset: job.retry()",
        "fal_failed",
    ),
    "job held": (
        lambda: ended(Status.HELD, job_problems.over_budget(3.6, 2.0)),
        lora_drop.OverBudgetError,
        "ada-1 waits for a decision.",
        None,
    ),
    "training failed": (
        lambda: raised(direct_errors.training_failed(FAILED, request_id="r", billed=True)),
        lora_drop.TrainingFailedError,
        "fal ended the training. To pay for another training of the same dataset: again=True.",
        "fal_failed",
    ),
    "refused": (
        lambda: posted(401, {"detail": "no such key"}),
        lora_drop.SubmissionRefusedError,
        (
            "fal does not know this key. Set a valid FAL_KEY: https://fal.ai/dashboard/keys. fal says: "
            "no such key. Nothing was paid: mend that and run the same again."
        ),
        "fal_key_refused",
    ),
    "in doubt": (
        lambda: posted(500),
        lora_drop.SubmissionUnknownError,
        "fal's gateway answered 500, so it is not known whether the training was accepted. It may be paid. Make the same call again",
        None,
    ),
    "busy": (
        lambda: raised(errors.ThrottledError("fal takes no more requests now")),
        lora_drop.NotSubmittedError,
        "Nothing was sent, and nothing was paid: run the same again.",
        None,
    ),
    "silent": (
        lambda: raised(lora_drop.FalUnavailableError("fal answered 500")),
        lora_drop.FalUnavailableError,
        "fal answered 500. Nothing changes at fal by that: ask again later.",
        None,
    ),
    "gone": (
        lambda: raised(lora_drop.ResultGoneError(direct_requests.unknown("r"))),
        lora_drop.ResultGoneError,
        "fal does not know request r: it was sent with another key, or fal keeps it no longer.",
        None,
    ),
    "no such job": (
        lambda: object.__new__(StackClient).job("no/job"),
        lora_drop.JobNotFoundError,
        "There is no job 'no/job'.",
        None,
    ),
    "too late": (
        lambda: raised(lora_drop.JobTimeoutError("ada-1 is READY after 3 s.")),
        lora_drop.JobTimeoutError,
        "ada-1 is READY after 3 s.",
        None,
    ),
}


@pytest.mark.parametrize("case", TYPED)
def test_error_says_what_to_do_and_goes_to_another_process(case: str) -> None:
    """Each error of the library is a sentence, has its code beside it, and can be pickled whole."""
    call, kind, sentence, code = TYPED[case]
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert sentence in str(error)
    assert getattr(error, "code", None) == code
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # its own
    assert (type(again), str(again)) == (type(error), str(error))
    assert vars(again).keys() == vars(error).keys()
    for name in ("problem", "report", "job", "billed", "held"):
        assert getattr(again, name, None) == getattr(error, name, None)


def test_every_error_can_be_pickled() -> None:
    """Each error of the project arrives in another process as it was, whatever its ``__init__`` asks for."""
    shared = errors.SharedJobError("a", ["b"], "a and b share their files")
    stale = errors.StaleWebhookError("late", request_id="r", user_id="u")
    for error in (
        shared,
        stale,
        errors.BalanceTooLowError(1.0, 0.5),
        errors.InvalidQueryError("x"),
    ):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301  # its own
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_errors_in_a_stack_are_codes_alone() -> None:
    """A stack's errors get into its log, so that they hold neither fal's words nor names of photos."""
    with pytest.raises(errors.SubmissionRefusedError) as refused:
        posted(422, {"detail": "anna"}, advice=TO_OPERATORS)
    assert str(refused.value) == "fal_invalid_input"
    assert str(errors.DatasetRejectedError(NAMED)) == "image_too_small"


IN_PYTHON = {
    "Let it go on with lora-drop approve JOB, or end it: lora-drop cancel JOB.": (
        "Let it go on with job.approve(), or end it: job.cancel()."
    ),
    "go on from it with lora-drop retry ada-1 --resume": (
        "go on from it with drop.job('ada-1').retry(resume=True)"
    ),
    "with metadata force=true (lora-drop train PATH --force) to train": "with force_retrain=True to train",
    "ada-1 is HELD (lora-drop job ada-1 says why)": (
        "ada-1 is HELD (drop.job('ada-1').problems says why)"
    ),
    "It goes on by itself: lora-drop watch ada-1": "It goes on by itself: drop.job('ada-1').events()",
    "There is no job x. All of them: lora-drop jobs": "There is no job x. All of them: drop.jobs()",
    "shows: lora-drop jobs --dataset ada.zip. If not, the same command goes on": (
        "shows: drop.jobs(dataset='ada.zip'). If not, the same call goes on"
    ),
    "shows: lora-drop jobs --dataset 'a b.zip'. If not": "shows: drop.jobs(dataset='a b.zip'). If not",
    "shows: lora-drop jobs --dataset 'a'\"'\"'b.zip'. If not": (
        'shows: drop.jobs(dataset="a\'b.zip"). If not'
    ),
    "run the same command again": "make the same call again",
    "The one on this machine is --stack local.": 'The one on this machine is LoraDrop("local").',
    "Start one: lora-drop up": "Start one: lora-drop up",
    "settle it: lora-drop resolve JOB --request-id ID": (
        "settle it: lora-drop resolve JOB --request-id ID"
    ),
}


@pytest.mark.parametrize("said", IN_PYTHON)
def test_advice_names_what_python_calls(said: str) -> None:
    """An error in Python names the method; what Python has no method for stays a command."""
    with pytest.raises(lora_drop.CommandError) as caught, method_advice():
        raise lora_drop.CommandError(said)
    assert str(caught.value) == IN_PYTHON[said]
