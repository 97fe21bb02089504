"""Each way in which a training ends at fal has a meaning here: its files, its reason, its bill."""

import pytest

from lora_drop.fal.errors import FAL_ERRORS, PARAMETERS, fal_error
from lora_drop.fal.status import MONEY, Failed, Finished, failed, finished
from lora_drop.simulator.errors import DOCUMENTED, MODEL_ERRORS, REQUEST_ERRORS
from tests.support.builders import REQUEST_ID

SIGNED_URL = (
    "https://datasets.s3.eu-central-1.amazonaws.com/portrait/ada.zip?versionId=v1"
    "&X-Amz-Credential=AKIA&X-Amz-Security-Token=tok&X-Amz-Signature=5167"
)


def detail(**changes: object) -> dict[str, object]:
    return {"detail": [{"loc": ["body"], "msg": "It broke.", "type": "invalid_archive", **changes}]}


def test_a_success_has_its_files() -> None:
    found = finished(REQUEST_ID, {"config_file": {"url": "https://v3.fal.media/c"}})
    assert [artifact.name for artifact in found.artifacts] == ["config.json"]
    assert finished(REQUEST_ID, None) == Finished(REQUEST_ID, ())


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("kind", FAL_ERRORS)
@pytest.mark.parametrize("form", ["the model's", "fal's", "a state's"])
def test_a_known_reason_has_its_advice(kind: str, form: str) -> None:
    """Each known failure says what to do and what it costs."""
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
def test_a_type_may_stand_beside(payload: object) -> None:
    fact = failed(REQUEST_ID, "It broke.", payload)
    assert fact.problem.code == "fal_image_load_error"
    assert "It broke" in fact.problem.message


@pytest.mark.promise("never pay twice")
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
def test_fals_bill_comes_first(kind: str, units: str | None, *, billed: bool | None) -> None:
    """The units that fal bills come before what such a failure usually costs."""
    fact = failed(REQUEST_ID, "x", detail(type=kind), billable_units=units)
    assert fact.billed is billed
    assert MONEY[billed] in fact.problem.message


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "payload",
    [None, {}, [], "text", 7, {"detail": []}, {"detail": ["x"]}, {"detail": None}, {"detail": 7}],
)
def test_any_other_form_is_a_failure(payload: object) -> None:
    """A failure of any other form is still a failure."""
    fact = failed(REQUEST_ID, "Invalid status code: 500", payload)
    assert isinstance(fact, Failed)
    assert fact.problem.code == "fal_unknown"
    assert fact.problem.message.startswith("fal ended the training: ")


def test_a_reason_is_short() -> None:
    fact = failed(REQUEST_ID, "x", detail(msg="long " * 1000, type="t" * 1000))
    assert len(fact.problem.message) < 500
    assert len(fact.problem.code) < 70


@pytest.mark.promise("nothing leaks")
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
def test_no_address_shows_its_signature(payload: object) -> None:
    """The secret part of an address is never repeated in a problem."""
    fact = failed(REQUEST_ID, f"GET {SIGNED_URL} gave 403", payload)
    assert "ada.zip" in fact.problem.message
    assert "X-Amz" not in fact.problem.message
    assert "5167" not in fact.problem.message


@pytest.mark.parametrize("kind", ["internal_server_error", "runner_disconnected", "whatever"])
def test_every_failure_says_what_to_do(kind: str) -> None:
    fact = failed(REQUEST_ID, "x", detail(msg="It broke..", type=kind))
    assert ".." not in fact.problem.message
    assert "again" in fact.problem.message


STATUS = {kind: error.status for kind, error in MODEL_ERRORS.items()} | {
    kind: status for kind, (status, _) in REQUEST_ERRORS.items()
}
# fal calls a download that failed, and a request that its caller left, not worth another try. Here
# another try has an address of its own, and nothing is wrong with the dataset.
BETTER_THAN_FAL_SAYS = {"file_download_error", "client_cancelled", "client_disconnected"}
# https://fal.ai/docs/documentation/model-apis/request-errors: runner and timeout types are worth it.
RETRYABLE = {kind for kind, error in MODEL_ERRORS.items() if error.retryable} | {
    kind for kind, (status, _) in REQUEST_ERRORS.items() if status >= 500
}


@pytest.mark.promise("interfaces stay")
def test_the_table_has_every_documented_type() -> None:
    """The table of fal's errors has every documented type and no other."""
    assert set(FAL_ERRORS) == set(DOCUMENTED)
    assert len(REQUEST_ERRORS) == 13


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("kind", sorted(DOCUMENTED))
def test_every_documented_type_has_its_meaning(kind: str) -> None:
    """Each documented type has a code, a sentence, its bill, and whether another try is worth it."""
    error = fal_error(kind, request_id=REQUEST_ID)
    assert error.code == f"fal_{kind}"
    assert error.advice[0].isupper() or error.advice.startswith(("fal ", "fal's "))
    assert error.advice.endswith(".")
    assert ".." not in error.advice
    assert len(error.advice) < 150
    # What fal never bills is known; of the rest nothing is promised.
    assert error.billed is (False if STATUS[kind] >= 500 else None)
    assert error.retry is (kind in RETRYABLE | BETTER_THAN_FAL_SAYS)


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "value_error.missing", "value_error", "value_error.number.not_ge"),
        *("type_error.integer", "type_error.none.not_allowed", "int_parsing", "float_type"),
        *("bool_parsing", "string_type", "string_too_long", "too_short", "literal_error", "enum"),
        *("extra_forbidden", "json_invalid", "string_pattern_mismatch", "value_error.url.scheme"),
    ],
)
def test_schema_types_are_about_the_parameters(kind: str) -> None:
    error = fal_error(kind, request_id=REQUEST_ID)
    assert (error.code, error.retry, error.billed) == (f"fal_{kind}", False, None)
    assert error.advice == PARAMETERS


@pytest.mark.parametrize("kind", ["unknown", "brand_new_error", "runner_on_fire", "too_shortish"])
def test_an_unknown_type_says_the_request(kind: str) -> None:
    error = fal_error(kind, request_id=REQUEST_ID)
    assert (error.code, error.retry, error.billed) == (f"fal_{kind}", True, None)
    assert REQUEST_ID in error.advice


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("a b\n<c>", "fal_a_b__c_"),
        ("\ud800", "fal__"),
        ("{'a': 1}", "fal___a___1_"),
        ("t" * 1000, "fal_" + "t" * 60),
        ("Image_Load_Error", "fal_Image_Load_Error"),
    ],
    ids=["mixed", "half a pair", "an object", "long", "capitals"],
)
def test_a_code_is_a_plain_word(kind: str, code: str) -> None:
    assert fal_error(kind, request_id=REQUEST_ID).code == code
