"""The jobs of a dataset, newest first, each with what differs from the one before it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest

from lora_drop import CommandError, JobChanges, LoraDrop, PhotoChanges
from lora_drop.cli.lineage_tables import changes_words
from lora_drop.client.history import dataset_history
from lora_drop.client.stack import Stack
from lora_drop.datasets.report import ImageOutcome, Report
from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from tests.support.bucket import refused
from tests.support.builders import NOW
from tests.support.client_fixtures import answering, connected
from tests.support.lineage import KEY, Served, report_of, version
from tests.support.reports import make_photo, make_report


def ids(stack: Stack, served: Served, name: str, limit: int = 20) -> list[str]:
    found = dataset_history(answering(stack, served), name, limit)
    return [job["job_id"] for job, _ in found]


@pytest.fixture
def three(stack: Stack) -> Served:
    """Three versions of one dataset, and another dataset."""
    return Served(stack, version(2), version(1), version(3), version(1, "portrait/ada-more.zip"))


def ids_of(numbers: Sequence[int], key: str = KEY) -> list[str]:
    return [version(number, key).job_id for number in numbers]


@pytest.mark.parametrize(
    "name", ["portrait/ada", "portrait/ada.zip", "portrait/ada/", "ada", "ada.zip"]
)
def test_history_is_newest_first(three: Served, stack: Stack, name: str) -> None:
    """A dataset's jobs are listed newest first under each of its names, without reading any other job."""
    assert ids(stack, three, name) == ids_of([3, 2, 1])
    assert len(three.asked) == 3
    assert "" not in three.asked, "the list of all jobs"


def test_limit_keeps_the_newest(three: Served, stack: Stack) -> None:
    assert ids(stack, three, "portrait/ada", limit=2) == ids_of([3, 2])


def test_erased_job_is_left_out(three: Served, stack: Stack) -> None:
    del three.jobs[version(2).job_id]
    assert ids(stack, three, "portrait/ada") == ids_of([3, 1])


def test_other_folder_is_no_job(three: Served, stack: Stack) -> None:
    three.s3.put_object(Bucket="models", Key="portrait/ada/notes/mine.txt", Body=b"x")
    three.s3.put_object(Bucket="models", Key="portrait/ada/latest.json", Body=b"{}")
    assert ids(stack, three, "portrait/ada") == ids_of([3, 2, 1])


def test_uploaded_dataset_is_found_in_list(stack: Stack) -> None:
    """A file's name alone finds what was uploaded through the API, whose folders have random names."""
    key = "uploads/0123456789abcdef/ada.zip"
    served = Served(stack, version(1, key), version(1, "portrait/bob.zip"))
    assert ids(stack, served, "ada.zip") == ids_of([1], key)
    assert served.asked == [""]


def test_unknown_name_is_said(three: Served, stack: Stack) -> None:
    for name in ("bob", "portrait", "ad", "style/ada"):
        with pytest.raises(CommandError, match=f"no job of a dataset {name}"):
            ids(stack, three, name)
    with pytest.raises(CommandError, match="Name a dataset"):
        ids(stack, three, "/")


def test_ambiguous_name_is_said(stack: Stack) -> None:
    served = Served(stack, version(1), version(1, "style/ada.zip"))
    with pytest.raises(CommandError, match=r"portrait/ada\.zip, style/ada\.zip"):
        ids(stack, served, "ada")
    assert ids(stack, served, "style/ada") == ids_of([1], "style/ada.zip")


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (["uploads/aaa/ada.zip", "clients/bob/ada.zip"], "ada"),  # found in the list of jobs
        (["portrait/ada.zip", "portrait/ada.ZIP"], "portrait/ada"),  # jobs of one folder
        (["ada.zip", "portrait/ada.zip"], "ada"),
    ],
)
def test_history_is_of_one_key(stack: Stack, keys: list[str], name: str) -> None:
    """Where several datasets have a name, all keys are said, and each of them is a name that is understood."""
    served = Served(stack, *(version(number, key) for number, key in enumerate(keys, 1)))
    with pytest.raises(CommandError) as error:
        ids(stack, served, name)
    assert ", ".join(sorted(keys)) in str(error.value)
    for number, key in enumerate(keys, 1):
        assert ids(stack, served, key) == ids_of([number], key)


def test_many_keys_are_counted(stack: Stack) -> None:
    served = Served(stack, *(version(1, f"uploads/{number}/ada.zip") for number in range(9)))
    with pytest.raises(CommandError, match=r"uploads/4/ada\.zip and 4 more"):
        ids(stack, served, "ada")


def test_changes_are_against_the_one_before(three: Served, stack: Stack) -> None:
    for number, digests in ((1, "ab"), (2, "bcd"), (3, "bcd")):
        three.add(version(number), report_of(*digests))
    with connected(stack, three) as drop:
        newest, middle, oldest = drop.history("portrait/ada")
    assert oldest.changes is None
    assert middle.changes
    assert middle.changes.parameters == {"steps": (1000, 2000)}
    assert middle.changes.photos == PhotoChanges(added=("c.jpg", "d.jpg"), removed=("a.jpg",))
    assert newest.changes
    assert (newest.changes.parameters, newest.changes.photos) == (
        {"steps": (2000, 3000)},
        PhotoChanges(),
    )
    assert (newest.job.id, newest.job.steps) == (version(3).job_id, 3000)


def test_last_shown_is_compared_too(three: Served, stack: Stack) -> None:
    with connected(stack, three) as drop:
        [newest] = drop.history("portrait/ada", limit=1)
    assert newest.changes
    assert newest.changes.parameters == {"steps": (2000, 3000)}


@pytest.mark.parametrize(
    "report",
    [
        None,
        make_report(photos=(make_photo("a.jpg"),)),  # an earlier version's
        make_report(photos=(make_photo("a.jpg"), make_photo("b.jpg", sha256="b"))),
    ],
)
def test_unknown_photos_are_not_guessed(stack: Stack, report: Report | None) -> None:
    first, second = version(1), version(2)
    served = Served(stack, first, second)
    served.add(second, report_of("a", "b"))
    if report:
        served.add(first, report)
    with connected(stack, served) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.changes
    assert newest.changes.photos is None


def test_dropped_photo_does_not_count(stack: Stack) -> None:
    first, second = version(1), version(2)
    served = Served(stack, first, second)
    served.add(first, report_of("a"))
    left_out = make_photo("b.jpg", sha256="b", name=None, fate=ImageOutcome.DROPPED)
    served.add(second, make_report(photos=(make_photo("renamed.jpg", sha256="a"), left_out)))
    with connected(stack, served) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.changes
    assert newest.changes.photos == PhotoChanges()


def test_retry_has_the_same_photos(stack: Stack) -> None:
    first = version(1)
    retry = first.model_copy(
        update={
            "job_id": "ada-9999999999",
            "retry_of": first.job_id,
            "created_at": NOW + timedelta(days=1),
        }
    )
    served = Served(stack, first, retry)
    with connected(stack, served) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.job.id == retry.job_id
    assert newest.changes is not None
    assert (newest.changes.photos, newest.changes.parameters) == (PhotoChanges(), {})


def same_photos(stack: Stack, texts: tuple[str, str], **changes: Any) -> JobChanges:
    """What history says of two versions of one photo with these captions; ``changes`` are of the second job."""
    served = Served(stack)
    for number, text in enumerate(texts, 1):
        photo = make_photo(f"{number}.jpg", sha256="a", caption=bool(text), caption_text=text)
        made = {"parameters": TrainingParameters(steps=1000), "content_digest": str(number)}
        job = version(number, **{**made, **(changes if number == 2 else {})})
        served.add(job, make_report(photos=(photo,)))
    with connected(stack, served) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.changes
    return newest.changes


@pytest.mark.parametrize("texts", [("ada", "ada at sea"), ("", "ada"), ("ada", "")])
def test_changed_caption_is_said(stack: Stack, texts: tuple[str, str]) -> None:
    found = same_photos(stack, texts)
    assert found.photos == PhotoChanges(captions=("2.jpg",))
    assert (found.other_content, changes_words(found)) == (False, "1 caption changed")


def test_other_content_is_said(stack: Stack) -> None:
    """A digest that differs without any known reason is of masks, or of captions that read the same."""
    found = same_photos(stack, ("ada", "ada"))
    assert (found.other_content, changes_words(found)) == (True, "captions or masks changed")
    for unchanged in ({"content_digest": "1"}, {"content_digest": None}):
        same = same_photos(stack, ("ada", "ada"), **unchanged)
        assert (same.other_content, changes_words(same)) == (False, "")
    steps = same_photos(stack, ("ada", "ada"), parameters=TrainingParameters(steps=2000))
    assert changes_words(steps) == "steps 1,000 → 2,000"


def test_resumed_training_is_said(stack: Stack) -> None:
    """A retry that goes on from the LoRA of its job is another training, of the same photos and parameters."""
    first = version(1)
    again = {"job_id": "ada-9999999999", "retry_of": first.job_id, "resume_from": first.job_id}
    resumed = first.model_copy(update={**again, "created_at": NOW + timedelta(days=1)})
    with connected(stack, Served(stack, first, resumed)) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.changes
    assert newest.changes.parameters == {"resume_from_checkpoint": (None, first.job_id)}
    assert changes_words(newest.changes) == f"resume_from_checkpoint - → {first.job_id}"


def test_retry_has_its_datasets_report(stack: Stack) -> None:
    """A retry is not checked again, and is compared with another version by the report of its dataset."""
    first, second = version(1), version(2)
    served = Served(stack)
    served.add(first, report_of("a"))
    served.add(second, report_of("a", "b"))
    retry = {"job_id": "ada-9999999999", "retry_of": second.job_id}
    served.add(second.model_copy(update={**retry, "created_at": NOW + timedelta(days=1)}))
    served.jobs.pop(second.job_id)
    with connected(stack, served) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.changes
    assert newest.changes.photos == PhotoChanges(added=("b.jpg",))


def test_made_up_phrase_is_no_change(stack: Stack) -> None:
    jobs = [
        version(
            number,
            parameters=TrainingParameters(steps=1000, trigger_phrase=phrase),
            parameter_sources={"trigger_phrase": ParameterSource.GENERATED},
        )
        for number, phrase in ((1, "TOK_1"), (2, "TOK_2"))
    ]
    with connected(stack, Served(stack, *jobs)) as drop:
        newest, _ = drop.history("portrait/ada")
    assert newest.changes
    assert newest.changes.parameters == {}


@pytest.mark.parametrize(
    ("code", "said"), [("AccessDenied", None), ("SlowDown", "cannot be listed")]
)
def test_history_needs_no_right_to_list(
    three: Served, stack: Stack, monkeypatch: pytest.MonkeyPatch, code: str, said: str | None
) -> None:
    """A caller who may not list the bucket gets the jobs from the API's list; another failure is said."""
    refusing = MagicMock()
    refusing.get_paginator.return_value.paginate.side_effect = refused(code)
    refusing.get_object.side_effect = refused(code)
    monkeypatch.setattr(Stack, "client", lambda *_, **__: refusing)
    if said:
        with pytest.raises(CommandError, match=said):
            ids(stack, three, "portrait/ada")
        return
    assert ids(stack, three, "portrait/ada") == ids_of([3, 2, 1])
    assert three.asked == [""]


def test_drop_is_closed_with_it(stack: Stack, three: Served) -> None:
    drop: LoraDrop = connected(stack, three)
    drop.close()
    with pytest.raises(CommandError):
        drop.history("portrait/ada")
