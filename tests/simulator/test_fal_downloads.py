"""How the trainer fetches what it is given a URL for."""

import socket

import pytest

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import DATASET, Calls
from tests.simulator.receiver import Receiver
from tests.support.builders import make_archive

ARCHIVE = make_archive()


def test_the_dataset_is_fetched_with_one_plain_get_of_exactly_its_url(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    signed = "/b/a%20b%2Bc.zip?X-Amz-Signature=aa%2Fbb%3D&x=%7E+y"
    receiver.files[signed] = ARCHIVE

    calls.trained({"images_data_url": receiver.url + signed})

    call = receiver.next()
    assert (call.method, call.path) == ("GET", signed)
    assert "Firefox" in call.headers["user-agent"]
    assert "authorization" not in call.headers
    assert receiver.is_quiet(0.1)
    assert [row["url"] for row in sim.ledger()["datasets"]] == [receiver.url + signed]


def test_the_whole_url_can_be_read_in_the_logs(calls: Calls, receiver: Receiver) -> None:
    receiver.files["/x.zip?secret=1"] = ARCHIVE
    request_id = calls.submitted({"images_data_url": f"{receiver.url}/x.zip?secret=1"})

    messages = [log["message"] for log in calls.ended(request_id)["logs"]]

    assert any("/x.zip?secret=1" in message for message in messages)


def test_a_file_of_the_cdn_can_be_a_dataset(sim: ControlClient, calls: Calls) -> None:
    calls.trained({"images_data_url": calls.stored(ARCHIVE)})

    assert [row["images"] for row in sim.ledger()["datasets"]] == [12]


def test_five_redirects_are_followed_and_no_sixth(calls: Calls, receiver: Receiver) -> None:
    receiver.redirects = {f"/{n}": f"/{n + 1}" for n in range(6)}
    receiver.files["/6"] = ARCHIVE

    calls.trained({"images_data_url": f"{receiver.url}/1"})
    request_id = calls.submitted({"images_data_url": f"{receiver.url}/0"})

    assert calls.ended(request_id)["error_type"] == "file_download_error"


@pytest.mark.parametrize(
    "url",
    [
        "nowhere.zip",
        "file:///etc/passwd",
        "s3://bucket/key.zip",
        "http://",
        "http://127.0.0.1:0/x.zip",
        "http://no such host/x.zip",
        "data:application/zip",
        "data:application/zip;base64,%%%",
    ],
)
def test_a_url_that_gives_nothing_is_a_download_error(
    sim: ControlClient, calls: Calls, url: str
) -> None:
    request_id = calls.submitted({"images_data_url": url})

    assert calls.ended(request_id)["error_type"] == "file_download_error"
    [detail] = calls.result(request_id).json()["detail"]
    assert (detail["loc"], detail["input"]) == (["body", "images_data_url"], url)
    [row] = sim.ledger()["datasets"]
    assert row["error"]
    assert row["images"] is None


def test_a_dead_or_expired_url_is_a_download_error(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/x.zip"
    expired = f"{receiver.url}/expired.zip"  # the receiver answers 403, as S3 does

    for url in (dead, expired):
        request_id = calls.submitted({"images_data_url": url})
        assert calls.ended(request_id)["error_type"] == "file_download_error"

    errors = [row["error"] for row in sim.ledger()["datasets"]]
    assert errors[0].startswith("ClientConnectorError")
    assert errors[1] == "status 403"


def test_a_checkpoint_is_fetched_as_well(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    receiver.files["/lora.safetensors"] = b"weights"
    url = f"{receiver.url}/lora.safetensors"

    calls.trained({"images_data_url": DATASET, "resume_from_checkpoint": url})

    fields = [(row["field"], row["bytes"]) for row in sim.ledger()["datasets"]]
    assert fields[1] == ("resume_from_checkpoint", 7)


def test_a_dead_checkpoint_fails_the_training_by_its_own_name(
    calls: Calls, receiver: Receiver
) -> None:
    arguments = {"images_data_url": DATASET, "resume_from_checkpoint": f"{receiver.url}/gone"}
    request_id = calls.submitted(arguments)

    calls.ended(request_id)

    [detail] = calls.result(request_id).json()["detail"]
    assert detail["loc"] == ["body", "resume_from_checkpoint"]
    assert detail["type"] == "file_download_error"
