"""Whatever way a dataset goes to fal, it trains, and a lost request is found again."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import Deployed
from tests.support.photos import encoded, picture

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("way", [pytest.param("fal", marks=pytest.mark.proof), "data"])
def test_dataset_goes_the_configured_way(stack: Deployed, tmp_path: Path, way: str) -> None:
    dataset = tmp_path / f"{way}.zip"
    dataset.write_bytes(_small_dataset())
    with _set(stack, DATASET_DELIVERY=way):
        if way == "fal":
            stack.simulator.inject("submit_answer_lost")
            stack.simulator.inject("webhook_lost")
        job = stack.train(dataset)

    assert job["status"] == "SUCCEEDED"
    assert job["delivery"]["way"] == way
    assert ("SUBMIT_UNKNOWN" in [step["status"] for step in job["history"]]) == (way == "fal")
    [post] = stack.posts_of(job)
    assert post["request_id"] == job["request_id"]
    address = post["arguments"]["images_data_url"]
    assert address.startswith("data:" if way == "data" else stack.simulator.base_url)


def _small_dataset() -> bytes:
    """Ten photos that are small enough for a request."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(10):
            photo = encoded(picture(512, 512, seed=number), "JPEG", quality=60)
            archive.writestr(f"photo-{number}.jpg", photo)
    return buffer.getvalue()


@contextmanager
def _set(stack: Deployed, **variables: str) -> Iterator[None]:
    """The submit function with other settings for a while."""
    functions, name = stack.client("lambda"), stack.access["outputs"]["SubmitFunctionName"]
    was = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**was, **variables}}
    )
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": was})
