"""Each function is put together from the right parts, each made on first use."""

from collections.abc import Iterator
from time import monotonic
from typing import Any

import httpx
import pytest

from lora_drop import settings as of
from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.faces import OnnxFaces
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.bootstrap.fetch import FetchBootstrap
from lora_drop.bootstrap.forget import ForgetBootstrap
from lora_drop.bootstrap.jobs import JobsBootstrap
from lora_drop.bootstrap.notify import NotifyBootstrap
from lora_drop.bootstrap.reconcile import ReconcileBootstrap
from lora_drop.bootstrap.store import StoreBootstrap
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.bootstrap.webhook import WebhookBootstrap
from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import HostNotAllowedError
from tests.adapters.hostile_urls import listed
from tests.support.aws import moto
from tests.support.builders import make_dataset

ENVIRONMENT = dict(
    setting.split("=", 1)
    for setting in listed("""
JOBS_TABLE=jobs DATASETS_BUCKET=datasets MODELS_BUCKET=models DATASET_URL_SECONDS=900
FAL_APPLICATION=fal-ai/x FAL_KEY_SECRET=k FAL_RUN_HOST=fal.run FAL_QUEUE_RUN_HOST=queue.fal.run
FAL_API_URL=https://api.fal.ai/v1 FAL_REST_URL=https://rest.fal.ai FAL_CDN_URL=https://v3.fal.media
FAL_JWKS_URL=https://rest.fal.ai/jwks ARTIFACT_HOSTS=fal.media LATE_AFTER_SECONDS=300
WEBHOOK_BASE_URL=https://api.example WEBHOOK_SECRET=w RECONCILE_FUNCTION=r
MAX_IN_FLIGHT=2 MONTHLY_BUDGET_USD=100 MAX_JOB_USD=25
INBOX_QUEUE_URL=https://sqs.example/inbox INBOX_DEAD_LETTERS_URL=https://sqs.example/dead-inbox
RESULTS_QUEUE_URL=https://sqs.example/results
RESULTS_DEAD_LETTERS_URL=https://sqs.example/dead-results
FETCH_QUEUE_URL=https://sqs.example/orders FETCH_DEAD_LETTERS_URL=https://sqs.example/dead-orders
NOTIFY_QUEUE_URL=https://sqs.example/changes NOTIFY_DEAD_LETTERS_URL=https://sqs.example/dead-changes
""")
)


def settings[S: of.Settings](model: type[S], **changes: str) -> S:
    return model.model_validate({**ENVIRONMENT, **changes})


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with moto():
        yield


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "datasets.s3.amazonaws.com"),
        ("eu-central-1", "datasets.s3.eu-central-1.amazonaws.com"),
        ("cn-north-1", "datasets.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_dataset_url_is_on_bucket_host(
    monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    """The URL of a dataset is on its bucket's own host."""
    # The global host answers for a new bucket elsewhere with a redirect, which breaks a signature.
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    url = httpx.URL(SubmitBootstrap(settings(of.SubmitSettings)).datasets.url(make_dataset()))
    assert url.host == host
    assert url.params["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert url.params["X-Amz-SignedHeaders"] == "host"
    assert url.params["X-Amz-Expires"] == "900"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_emulator_url_has_one_host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://host.docker.internal:4566")
    url = httpx.URL(SubmitBootstrap(settings(of.SubmitSettings)).datasets.url(make_dataset()))
    assert (url.host, url.port, url.path) == (
        "host.docker.internal",
        4566,
        "/datasets/portrait/ada.zip",
    )


def test_artifact_hosts_are_comma_separated() -> None:
    store = StoreBootstrap(settings(of.StoreSettings, ARTIFACT_HOSTS=" fal.media, 127.0.0.1:9 ,,"))
    assert isinstance(store.source, CdnFiles)
    for url in ("https://evil.example/x", "https://x"):
        artifact = Artifact(name="x", url=url)
        with pytest.raises(HostNotAllowedError), store.source.open(artifact, until=monotonic() + 9):
            pass


@pytest.mark.parametrize("one_person", [True, False])
def test_submitter_compares_faces(*, one_person: bool) -> None:
    """Faces are found and compared with the same models, which are loaded when the first photo is looked at."""
    required = {"REQUIRE_ONE_PERSON": str(one_person).lower()}
    checker = SubmitBootstrap(settings(of.SubmitSettings, **required)).submitter.checker
    assert isinstance(checker.pictures, PillowPictures)
    assert isinstance(checker.faces, OnnxFaces)
    assert checker.pictures._faces is checker.faces
    assert (checker.faces._detector, checker.faces._recognizer) == (None, None)
    assert checker.require_one_person is one_person
    assert isinstance(checker.pictures_of_style, PillowPictures)
    assert checker.pictures_of_style._faces is None


@pytest.mark.promise("nothing leaks")
def test_submitter_looks_for_no_faces() -> None:
    """With FaceCheck=false nothing that finds or compares faces is made."""
    checker = SubmitBootstrap(settings(of.SubmitSettings, FACE_CHECK="false")).submitter.checker
    assert isinstance(checker.pictures, PillowPictures)
    assert (checker.faces, checker.pictures._faces) == (None, None)


BUILT: dict[str, Any] = {
    "submit": lambda: SubmitBootstrap(settings(of.SubmitSettings)).submitter,
    "webhook": lambda: WebhookBootstrap(settings(of.WebhookSettings)).webhook_handler,
    "store": lambda: StoreBootstrap(settings(of.StoreSettings)).result_storer,
    "fetch": lambda: FetchBootstrap(settings(of.FetchSettings)).fetcher,
    "reconcile": lambda: ReconcileBootstrap(settings(of.ReconcileSettings)).reconciler,
    "jobs": lambda: JobsBootstrap(settings(of.JobsSettings)).jobs,
    "decisions": lambda: JobsBootstrap(settings(of.JobsSettings)).manual_actions,
    "retries": lambda: JobsBootstrap(settings(of.JobsSettings)).retry_service,
    "erasing": lambda: ForgetBootstrap(settings(of.ForgetSettings)).forget_service,
    "notifying": lambda: NotifyBootstrap(settings(of.NotifySettings)).notifier,
    "dead letters": lambda: JobsBootstrap(settings(of.JobsSettings)).dead_letters,
}


def test_functions_share_the_same_limits() -> None:
    """Each function that counts slots and money has the same limits."""
    submitter = SubmitBootstrap(settings(of.SubmitSettings)).submitter
    reconciler = ReconcileBootstrap(settings(of.ReconcileSettings)).reconciler
    assert submitter.dispatcher.limits == reconciler.limits == Limits(2, 100.0, 25.0)


def test_lora_url_lives_like_the_dataset() -> None:
    """The URL of a LoRA to resume from is valid for as long as the dataset's."""
    submitter = SubmitBootstrap(settings(of.SubmitSettings)).submitter
    results = submitter.record.results
    lora = StoredFile(name="x", bucket="models", key="a b/x", size=1, sha256="0")
    url = httpx.URL(results.url(lora, submitter.dispatcher.addresses.seconds))
    assert url.host == "models.s3.amazonaws.com"
    assert url.params["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert url.params["X-Amz-Expires"] == "900"


@pytest.mark.parametrize("function", BUILT)
def test_bootstrap_makes_no_calls(function: str) -> None:
    """Each function is put together without a call to AWS."""
    # Neither bucket nor table nor queue nor secret is there, and moto lets nothing else through.
    assert BUILT[function]()
