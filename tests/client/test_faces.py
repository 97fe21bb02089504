"""Faces in the Python client: looked for unless the caller or the stack says otherwise."""

import asyncio
from pathlib import Path

import pytest

import lora_drop
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.stack import Stack
from lora_drop.local.stack import SAMPLE
from tests.support.client_fixtures import uploaded
from tests.support.face_photos import STRANGER, as_archive, five_photos


@pytest.fixture(autouse=True)
def _wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_DROP_FACES", "true")


@pytest.fixture(scope="module")
def five() -> bytes:
    return as_archive(five_photos())


@pytest.mark.parametrize("faces", [True, False])
def test_caller_says_whether_faces_are_looked_for(*, faces: bool, tmp_path: Path) -> None:
    direct = lora_drop.PortraitTrainer("key:secret", state=tmp_path / "state.sqlite")
    asynchronous = lora_drop.AsyncPortraitTrainer("key:secret", state=tmp_path / "state.sqlite")
    reports = [
        lora_drop.LoraDrop().check(SAMPLE, faces=faces),
        asyncio.run(lora_drop.AsyncLoraDrop().check(SAMPLE, faces=faces)),
        direct.check(SAMPLE, faces=faces),
        asyncio.run(asynchronous.check(SAMPLE, faces=faces)),
    ]
    assert [each.faces_checked for each in reports] == [faces] * 4


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_report_is_no_pass_where_the_stack_asks_for_more(
    drop: lora_drop.LoraDrop, stack: Stack, five: bytes
) -> None:
    """A report of a check without a stack does not let another person through where the stack refuses it."""
    object.__setattr__(stack, "faces", FaceCheck(one_person=True))
    report = drop.check(five)
    assert report.accepted
    with pytest.raises(lora_drop.DatasetRejectedError) as refused:
        drop.train(report)
    assert [each.member for each in refused.value.report.errors] == [STRANGER]
    assert uploaded(stack) == []


def test_stack_that_looks_for_none_is_left_alone(
    drop: lora_drop.LoraDrop, stack: Stack, five: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(stack, "faces", FaceCheck(wanted=False, one_person=True))
    monkeypatch.setattr("lora_drop.client.face_check._faces", pytest.fail)
    assert drop.train(five, trigger_phrase="ada").id
