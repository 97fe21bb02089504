import pytest

from lora_drop.fal.errors import FAL_ERRORS
from lora_drop.fal.status import MONEY, Failed, Finished, failed, finished
from tests.support.builders import REQUEST_ID

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


@pytest.mark.parametrize("kind", FAL_ERRORS)
@pytest.mark.parametrize("form", ["the model's", "fal's", "a state's"])
def test_a_known_reason_comes_with_what_to_do_and_what_it_costs(kind: str, form: str) -> None:
    payload = {
        "the model's": detail(type=kind),
        "fal's": {"detail": "It broke.", "error_type": kind},
        "a state's": {"status": "COMPLETED", "error": "It broke.", "error_type": kind},
    }[form]

    fact = failed(REQUEST_ID, "Invalid status code: 422", payload)

    known = FAL_ERRORS[kind]
    assert (fact.problem.code, fact.problem.retryable) == (known.code, known.retry)
    assert fact.billed is known.billed
    assert fact.problem.message == (
        f"fal ended the training: It broke. {MONEY[known.billed]} {known.advice}"
    )


@pytest.mark.parametrize(
    "payload",
    [
        {"detail": [{"msg": "It broke."}], "error_type": "image_load_error"},
        {"detail": [{"type": None, "msg": None}], "error_type": "image_load_error"},
        {"error_type": "image_load_error"},
        {"detail": [], "error_type": "image_load_error"},
    ],
    ids=["no type", "null", "no detail", "empty"],
)
def test_a_type_beside_the_detail_is_one_too(payload: object) -> None:
    fact = failed(REQUEST_ID, "It broke.", payload)

    assert fact.problem.code == "fal_image_load_error"
    assert "It broke" in fact.problem.message


@pytest.mark.parametrize(
    ("kind", "units", "billed"),
    [
        *(("image_load_error", units, False) for units in ("0", "0.0", " 0 ", "0.000")),
        *(("image_load_error", units, True) for units in ("1", "1000", "0.5", "2500.0")),
        *(("runner_disconnected", units, True) for units in ("1", "1000")),
        *(("runner_disconnected", units, False) for units in ("0", None, "none", "")),
        *(
            ("image_load_error", units, None)
            for units in (None, "", "none", "-1", "-0", "+1", "NaN", "inf", "1e3", "0x1", "1_000")
        ),
        *(
            ("image_load_error", units, None)
            for units in ("0, 1000", "0 0", "1,5", "\u0660", "\uff10", ".", "1.", ".5", "9" * 400)
        ),
    ],
    ids=ascii,
)
def test_fals_bill_comes_before_what_is_usual(
    kind: str,
    units: str | None,
    billed: bool | None,  # noqa: FBT001  # a table's column
) -> None:
    fact = failed(REQUEST_ID, "x", detail(type=kind), billable_units=units)

    assert fact.billed is billed
    assert MONEY[billed] in fact.problem.message


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
