import pytest

from shared.domain.facts import ADVICE, Failed, Finished, failed, finished
from tests.builders import REQUEST_ID

SIGNED_URL = (
    "https://datasets.s3.eu-central-1.amazonaws.com/portrait/ada.zip?versionId=v1"
    "&X-Amz-Credential=AKIA&X-Amz-Security-Token=tok&X-Amz-Signature=5167"
)


def detail(**changes: object) -> dict[str, object]:
    return {"detail": [{"loc": ["body"], "msg": "It broke.", "type": "invalid_archive", **changes}]}


def test_a_success_has_its_files() -> None:
    fact = finished(REQUEST_ID, {"config_file": {"url": "https://v3.fal.media/c"}})

    assert [artifact.name for artifact in fact.artifacts] == ["config.json"]


def test_a_success_without_a_payload_is_one() -> None:
    assert finished(REQUEST_ID, None) == Finished(REQUEST_ID, ())


def test_a_models_reason_is_told_with_its_type() -> None:
    fact = failed(REQUEST_ID, "Invalid status code: 422", detail())

    assert fact.problem.code == "fal_invalid_archive"
    assert "It broke." in fact.problem.message


@pytest.mark.parametrize("kind", ADVICE)
def test_a_known_reason_comes_with_what_to_do(kind: str) -> None:
    fact = failed(REQUEST_ID, "Invalid status code: 422", detail(type=kind))

    assert fact.problem.message.endswith(ADVICE[kind])


def test_fals_own_reason_is_told_with_its_type() -> None:
    fact = failed(REQUEST_ID, "x", {"detail": "Timed out", "error_type": "request_timeout"})

    assert fact.problem.code == "fal_request_timeout"
    assert "Timed out" in fact.problem.message


@pytest.mark.parametrize(
    "payload",
    [None, {}, [], "text", 7, {"detail": []}, {"detail": ["x"]}, {"detail": None}, {"detail": 7}],
)
def test_a_failure_of_any_other_form_is_still_a_failure(payload: object) -> None:
    fact = failed(REQUEST_ID, "Invalid status code: 500", payload)

    assert isinstance(fact, Failed)
    assert fact.problem.code == "fal_unknown"
    assert fact.problem.message.startswith("fal ended the training: ")


def test_a_reason_is_told_in_one_breath() -> None:
    fact = failed(REQUEST_ID, "x", detail(msg="long " * 1000, type="t" * 1000))

    assert len(fact.problem.message) < 500
    assert len(fact.problem.code) < 70


@pytest.mark.parametrize(
    "payload",
    [
        detail(msg=f"Failed to download {SIGNED_URL}. Please try again."),
        {"detail": f"Could not fetch '{SIGNED_URL}'", "error_type": "bad_request"},
        {"detail": "Could not fetch https://example.com/ada.zip?token=5167"},
        {"detail": "Could not fetch ada.zip with X-Amz-Signature=5167"},
        None,
    ],
    ids=["the model's", "fal's", "another's", "without its address", "none"],
)
def test_the_secret_part_of_an_address_is_never_repeated(payload: object) -> None:
    fact = failed(REQUEST_ID, f"GET {SIGNED_URL} gave 403", payload)

    assert "ada.zip" in fact.problem.message
    assert "X-Amz" not in fact.problem.message
    assert "5167" not in fact.problem.message


@pytest.mark.parametrize("kind", ["internal_server_error", "runner_disconnected", "whatever"])
def test_every_failure_says_what_to_do_and_ends_its_sentences_once(kind: str) -> None:
    fact = failed(REQUEST_ID, "x", detail(msg="It broke..", type=kind))

    assert ".." not in fact.problem.message
    assert "again" in fact.problem.message
