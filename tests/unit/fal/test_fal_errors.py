"""Every way that fal documents for a training to fail has a meaning here."""

import pytest

from lora_drop.fal.errors import FAL_ERRORS, PARAMETERS, fal_error
from lora_drop.simulator.errors import DOCUMENTED, MODEL_ERRORS, REQUEST_ERRORS
from tests.support.builders import REQUEST_ID

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


def test_the_table_has_every_documented_type_and_no_other() -> None:
    assert set(FAL_ERRORS) == set(DOCUMENTED)
    assert len(REQUEST_ERRORS) == 13


@pytest.mark.parametrize("kind", sorted(DOCUMENTED))
def test_every_documented_type_has_a_code_of_its_own_and_a_sentence(kind: str) -> None:
    error = fal_error(kind, request_id=REQUEST_ID)

    assert error.code == f"fal_{kind}"
    assert error.advice[0].isupper() or error.advice.startswith(("fal ", "fal's "))
    assert error.advice.endswith(".")
    assert ".." not in error.advice
    assert len(error.advice) < 150


@pytest.mark.parametrize("kind", sorted(DOCUMENTED))
def test_what_fal_never_bills_is_known_and_the_rest_is_not_promised(kind: str) -> None:
    error = fal_error(kind, request_id=REQUEST_ID)

    assert error.billed is (False if STATUS[kind] >= 500 else None)


@pytest.mark.parametrize("kind", sorted(DOCUMENTED))
def test_another_try_is_worth_it_where_fal_says_maybe_or_the_dataset_is_not_to_blame(
    kind: str,
) -> None:
    error = fal_error(kind, request_id=REQUEST_ID)

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
def test_a_schemas_own_types_are_about_the_parameters(kind: str) -> None:
    error = fal_error(kind, request_id=REQUEST_ID)

    assert (error.code, error.retry, error.billed) == (f"fal_{kind}", False, None)
    assert error.advice == PARAMETERS


@pytest.mark.parametrize("kind", ["unknown", "brand_new_error", "runner_on_fire", "too_shortish"])
def test_an_unknown_type_is_passed_on_with_where_to_look(kind: str) -> None:
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
def test_a_code_is_always_a_plain_and_short_word(kind: str, code: str) -> None:
    assert fal_error(kind, request_id=REQUEST_ID).code == code
