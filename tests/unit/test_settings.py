"""Each function loads its settings from its environment, or says which one is wrong."""

import pytest
from pydantic import ValidationError

from lora_drop.settings import (
    JobsSettings,
    ReconcileSettings,
    Settings,
    StoreSettings,
    SubmitSettings,
    WebhookSettings,
    load,
)

ENVIRONMENT = {
    "JOBS_TABLE": "jobs",
    "FAL_KEY_SECRET": "fal-key",
    "FAL_RUN_HOST": "fal.run",
    "FAL_QUEUE_RUN_HOST": "queue.fal.run",
    "MODELS_BUCKET": "models",
    "FAL_APPLICATION": "fal-ai/flux-lora-portrait-trainer",
    "WEBHOOK_BASE_URL": "https://api.example/live",
    "WEBHOOK_SECRET": "webhook-secret",
    "RECONCILE_FUNCTION": "reconcile",
    "DATASET_URL_SECONDS": "21600",
    "RESULTS_QUEUE_URL": "https://sqs.example/results",
    "RESULTS_DEAD_LETTERS_URL": "https://sqs.example/dead-results",
    "INBOX_QUEUE_URL": "https://sqs.example/inbox",
    "INBOX_DEAD_LETTERS_URL": "https://sqs.example/dead-inbox",
    "DATASETS_BUCKET": "datasets",
    "MAX_IN_FLIGHT": "2",
    "MONTHLY_BUDGET_USD": "100",
    "MAX_JOB_USD": "25",
    "FAL_API_URL": "https://api.fal.ai/v1",
    "FAL_REST_URL": "https://rest.fal.ai",
    "FAL_CDN_URL": "https://v3.fal.media",
    "FAL_JWKS_URL": "https://rest.fal.ai/.well-known/jwks.json",
    "ARTIFACT_HOSTS": "fal.media",
    "LATE_AFTER_SECONDS": "300",
}
EACH: list[type[Settings]] = [
    *(SubmitSettings, WebhookSettings, StoreSettings, ReconcileSettings, JobsSettings)
]
NEEDED = [
    (model, name.upper())
    for model in EACH
    for name, field in model.model_fields.items()
    if field.is_required()
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("model", EACH)
def test_functions_load_their_settings(model: type[Settings]) -> None:
    assert load(model).jobs_table == "jobs"


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
@pytest.mark.parametrize(("model", "name"), NEEDED)
def test_missing_setting_is_named(
    environment: pytest.MonkeyPatch, model: type[Settings], name: str, value: str | None
) -> None:
    """A setting that is missing or empty is an error at once, and is named."""
    environment.setenv(name, "") if value is not None else environment.delenv(name)
    with pytest.raises(ValidationError, match=name):
        load(model)


def test_numbers_come_as_text(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATASET_URL_SECONDS", "900")
    assert load(SubmitSettings).dataset_url_seconds == 900


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (SubmitSettings, "DATASET_URL_SECONDS", "0"),
        (SubmitSettings, "DATASET_URL_SECONDS", "six hours"),
        (SubmitSettings, "WEBHOOK_BASE_URL", "api.example/live"),
        (ReconcileSettings, "LATE_AFTER_SECONDS", "-1"),
        (SubmitSettings, "MAX_IN_FLIGHT", "0"),
        (SubmitSettings, "MONTHLY_BUDGET_USD", "-1"),
        (WebhookSettings, "RESULTS_QUEUE_URL", "results"),
        (WebhookSettings, "FAL_JWKS_URL", "rest.fal.ai"),
        (WebhookSettings, "FAL_JWKS_URL", "http://rest.fal.ai/.well-known/jwks.json"),
    ],
)
def test_wrong_value_is_not_repeated(
    environment: pytest.MonkeyPatch, model: type[Settings], name: str, value: str
) -> None:
    """A wrong value is named and not repeated."""
    environment.setenv(name, value)
    with pytest.raises(ValidationError, match=name) as raised:
        load(model)
    assert f"input_value='{value}'" not in str(raised.value)


def test_user_id_may_be_left_out(environment: pytest.MonkeyPatch) -> None:
    assert load(WebhookSettings).fal_user_id == ""
    environment.setenv("FAL_USER_ID", "user_1")
    assert load(WebhookSettings).fal_user_id == "user_1"


@pytest.mark.usefixtures("environment")
def test_settings_never_change() -> None:
    settings = load(JobsSettings)
    with pytest.raises(ValidationError):
        settings.jobs_table = "another"  # type: ignore[misc]  # the promise under test
