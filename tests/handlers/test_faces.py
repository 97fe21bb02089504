"""The submit function looks for faces as the check on a person's machine does, and keeps no embedding of one."""

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from functions.submit.handler import handler as submit
from lora_drop.adapters.faces import MODELS, OnnxFaces
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.client.check import check_dataset
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.security.canary.embeddings import scanned
from tests.security.canary.plugin import WATCH
from tests.support.builders import make_dataset, s3_event
from tests.support.face_photos import FIVE, STRANGER, as_archive, five_photos
from tests.support.lambda_environment import Context, LambdaEnvironment
from tests.support.lambda_events import queue_event

FACES = OnnxFaces()


@pytest.fixture
def seeing(environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch) -> LambdaEnvironment:
    """Photos are decoded and looked through, in the place of the environment's own."""
    monkeypatch.setattr(SubmitBootstrap, "pictures", PillowPictures(FACES))
    monkeypatch.setattr(SubmitBootstrap, "pictures_of_style", PillowPictures())
    return environment


@pytest.fixture(scope="module")
def five() -> bytes:
    return as_archive(five_photos())


def dropped(environment: LambdaEnvironment, data: bytes, key: str = "ada.zip") -> Job:
    put = environment.aws.s3.put_object(Bucket="datasets", Key=key, Body=data)
    notice = s3_event(make_dataset(key, version_id=put["VersionId"]))
    submit(queue_event(notice), Context())
    return environment.only_job()


def named(report: dict[str, Any], which: str = "warnings") -> dict[str, str]:
    """The code of each finding about a face in one photo, by the photo."""
    found = report[which]
    faces = [each for each in found if each["code"].startswith(("image_face_", "dataset_face_"))]
    return {each["member"]: each["code"] for each in faces}


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_stack_and_machine_find_the_same_faces(
    seeing: LambdaEnvironment, five: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stack says of the faces in a dataset is what `lora-drop check` says of them, to the last number."""
    monkeypatch.setenv("LORA_DROP_FACES", "true")
    (tmp_path / "ada.zip").write_bytes(five)

    job = dropped(seeing, five)

    there = json.loads(seeing.files()["report.json"])
    here = check_dataset(tmp_path / "ada.zip").model_dump(mode="json")
    assert job.status is Status.SUBMITTED
    assert named(there) == named(here) == FIVE
    assert [each["faces"] for each in there["photos"]] == [each["faces"] for each in here["photos"]]
    assert there["faces_checked"]


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_another_person_is_refused_where_one_is_required(
    seeing: LambdaEnvironment, five: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With RequireOnePerson=true a dataset that shows another person is refused, and nothing is paid."""
    monkeypatch.setenv("REQUIRE_ONE_PERSON", "true")
    job = dropped(seeing, five)
    assert (job.status, seeing.internet.posts) == (Status.REJECTED, [])
    report = json.loads(seeing.files()["report.json"])
    assert named(report, "errors") == {STRANGER: "image_face_other_person"}
    assert "RequireOnePerson" in seeing.files()["ERROR.txt"].decode()


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(("setting", "key"), [("false", "ada.zip"), ("true", "style/ada.zip")])
def test_faces_are_left_alone_where_nobody_asks(
    environment: LambdaEnvironment,
    five: bytes,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    key: str,
) -> None:
    """With FaceCheck=false, and in a dataset of style, no face is looked for, and no model is loaded."""
    monkeypatch.setenv("FACE_CHECK", setting)
    made = [OnnxFaces()]
    monkeypatch.setattr("lora_drop.adapters.faces.OnnxFaces", lambda: made[0])
    for name in ("pictures", "pictures_of_style"):
        monkeypatch.setattr(SubmitBootstrap, name, PROPERTIES[name])

    dropped(environment, five, key)

    report = json.loads(environment.files()["report.json"])
    assert (report["faces_checked"], named(report)) == (False, {})
    assert (made[0]._detector, made[0]._recognizer) == (None, None)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("what", ["seen", "similarities"])
def test_broken_faces_are_logged_without_a_value(
    seeing: LambdaEnvironment, five: bytes, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Where looking for faces breaks the dataset is trained, and the log has the lines of code, and not the error's text."""

    values = "[0.123, 0.456]"

    def broken(*_: object) -> None:
        raise RuntimeException(values)

    monkeypatch.setattr(OnnxFaces, what, broken)
    job = dropped(seeing, five)
    assert job.status is Status.SUBMITTED
    report = json.loads(seeing.files()["report.json"])
    assert "dataset_face_check_failed" in {each["code"] for each in report["warnings"]}
    output = seeing.output_lines()
    [line] = [each for each in output if each.get("message") == "faces broke"]
    assert (line["level"], line["reason"].split()[0]) == ("ERROR", "RuntimeException")
    assert any("broken" in frame for frame in line["frames"])
    assert [each["FacesUnavailable"] for each in output if "FacesUnavailable" in each] == [[1.0]]
    assert values not in json.dumps(output) + json.dumps(report)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("strict", [False, True])
def test_a_stack_without_models_says_so(
    environment: LambdaEnvironment,
    five: bytes,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    strict: bool,  # noqa: FBT001
) -> None:
    """Without usable models a dataset is checked without faces: log, metric and report say so; RequireOnePerson refuses it."""
    shutil.copy(MODELS / "SHA256SUMS", tmp_path)
    monkeypatch.setattr("lora_drop.adapters.faces.MODELS", tmp_path)
    monkeypatch.setenv("REQUIRE_ONE_PERSON", str(strict).lower())
    for name in ("pictures", "pictures_of_style"):
        monkeypatch.setattr(SubmitBootstrap, name, PROPERTIES[name])

    job = dropped(environment, five)

    assert job.status is (Status.REJECTED if strict else Status.SUBMITTED)
    report = json.loads(environment.files()["report.json"])
    said = [each["code"] for each in report["errors" if strict else "warnings"]]
    assert "dataset_face_unavailable" in said
    assert not report["faces_checked"]
    lines = [json.loads(line) for line in environment.output().splitlines()]
    errors = [line for line in lines if line.get("level") == "ERROR"]
    assert [line["reason"] for line in errors] == ["yunet.onnx is missing"]
    assert [line["FacesUnavailable"] for line in lines if "FacesUnavailable" in line] == [[1.0]]


PROPERTIES = {name: vars(SubmitBootstrap)[name] for name in ("pictures", "pictures_of_style")}


@pytest.mark.promise("nothing leaks")
def test_no_embedding_is_anywhere_in_the_stack(seeing: LambdaEnvironment, five: bytes) -> None:
    """No object, row, message or line of a log holds an embedding of a face, in any form."""
    before, hits = WATCH.scan.embeddings.count, len(WATCH.hits)
    dropped(seeing, five)
    made = WATCH.scan.embeddings.count - before
    left = list(everything(seeing))
    assert made >= 2 * 10  # as it comes from the model and as it is compared, of each clear face
    assert {name.split()[0] for name, _ in left} == {"object", "row", "message", "line"}
    assert scanned(WATCH.scan.embeddings, iter(left)) == []
    assert WATCH.hits[hits:] == []


def everything(environment: LambdaEnvironment) -> Iterator[tuple[str, bytes]]:
    """Every object in every version, row, message and line of output, with what it holds."""
    s3, sqs = environment.aws.s3, environment.aws.sqs
    for bucket in ("datasets", "models"):
        for each in s3.list_object_versions(Bucket=bucket)["Versions"]:
            key, version = each["Key"], each["VersionId"]
            found = s3.get_object(Bucket=bucket, Key=key, VersionId=version)
            yield f"object {key}", found["Body"].read()
    for row in environment.aws.dynamodb.scan(TableName=environment.table)["Items"]:
        yield "row", json.dumps(row, default=_text).encode()
    for url in sqs.list_queues()["QueueUrls"]:
        for message in sqs.receive_message(QueueUrl=url).get("Messages", []):
            yield f"message in {url}", message["Body"].encode()
    for request in environment.internet.requests:
        yield "message to fal", request.content
    for line in environment.output().splitlines():
        yield "line", line.encode()


def _text(value: object) -> str:
    """The bytes of a row, unpacked where they are packed."""
    assert isinstance(value, bytes)
    try:
        return zlib.decompress(value, wbits=47).decode("latin-1")
    except zlib.error:
        return value.decode("latin-1")
