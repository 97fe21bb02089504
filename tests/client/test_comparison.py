"""Two jobs beside each other: what differs is said, and the pictures of both are on one page that is harmless."""

import base64
import json
import re
from dataclasses import replace
from functools import partial

import pytest

from lora_drop import Comparison, JobNotFoundError, LoraDropError, PhotoChanges
from lora_drop.cli.lineage import comparison_document
from lora_drop.client.comparison import PICTURE_SIDE, small_picture
from lora_drop.client.comparison_page import comparison_page
from lora_drop.client.comparison_rows import comparison_rows, duration
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.datasets.reports.proof_sheet import proof_json
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs.proof import Likeness, PictureLikeness, ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.local.simulator_words import DRAWN
from tests.support.client_fixtures import answering, connected
from tests.support.lineage import FACTS, Served, proof, report_of, version
from tests.support.photos import encoded, picture
from tests.unit.datasets.test_proof_sheet import make_picture, make_sheet

JPEG = encoded(picture(1024, 768), "JPEG")


@pytest.fixture
def served(stack: Stack) -> Served:
    """Two jobs with a proof sheet each, the second of which has lost a picture."""
    found = Served(stack)
    first = found.add(version(1), report_of("a", "b"), proof=proof(0.72, 0.84))
    second = found.add(
        version(2, lora=FACTS.model_copy(update={"ranks": (32,)})),
        report_of("b", "c"),
        proof=proof(0.5, 0.84),
    )
    for job, numbers in ((first, (1, 2)), (second, (1,))):
        for number in numbers:
            found.put(job, f"proof/{number}/picture.jpg", JPEG)
    found.put(first, "proof/0/picture.jpg", JPEG)
    found.put(first, "proof/1/other.jpg", JPEG)
    found.put(first, "proof/proof.json", b"{}")
    return found


@pytest.fixture
def client(stack: Stack, served: Served) -> StackClient:
    return answering(stack, served)


def compared(client: StackClient) -> Comparison:
    return Comparison.of(client, version(1).job_id, version(2).job_id)


@pytest.mark.promise("it can be operated", "Two jobs are compared by all that a LoRA is made of.")
def test_comparison_has_what_differs(client: StackClient) -> None:
    found = compared(client)
    assert found.changes.parameters == {"steps": (1000, 2000)}
    assert found.changes.photos == PhotoChanges(added=("c.jpg",), removed=("a.jpg",))
    assert (found.a.likeness, found.a.among_photos, found.b.likeness) == (0.72, 0.84, 0.5)
    assert (found.a.ranks, found.b.ranks, found.a.paid_usd) == ((16,), (32,), 3.6)
    rows = {row.name: (row.a, row.b) for row in comparison_rows(found)}
    assert rows["rank"] == ("16", "32")
    assert rows["steps"] == ("1,000", "2,000")
    assert rows["likeness"] == ("0.72 of 0.84 among the photos", "0.50 of 0.84 among the photos")
    assert rows["LoRA"] == ("89.7 MB", "89.7 MB")
    differ = {row.name for row in comparison_rows(found) if row.differs}
    assert differ == {"ordered", "rank", "steps", "likeness"}


def test_pictures_are_paired_by_number(client: StackClient) -> None:
    first, second = version(1).prefix, version(2).prefix
    assert compared(client).pictures == {
        1: (f"{first}proof/1/picture.jpg", f"{second}proof/1/picture.jpg"),
        2: (f"{first}proof/2/picture.jpg", None),
    }


def test_page_has_small_pictures(client: StackClient) -> None:
    page = comparison_page(compared(client), partial(small_picture, client))
    found = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(found) == 3
    assert page.count("no picture") == 1
    for each in found:
        data = base64.b64decode(each)
        assert data.startswith(b"\xff\xd8")
        assert len(data) < len(JPEG)
    assert PICTURE_SIDE < 1024


def test_page_captions_each_picture(client: StackClient, served: Served) -> None:
    """Under each picture are its likeness and its prompt."""
    sheet = make_sheet(pictures=(make_picture(1, likeness=0.72), make_picture(2, likeness=None)))
    served.put(version(1), "proof/proof.json", proof_json(sheet).encode())
    found = compared(client)
    prompts = [each.prompt for each in sheet.pictures]
    assert found.captions == {1: (f"Likeness 0.72. {prompts[0]}", ""), 2: (prompts[1], "")}
    page = comparison_page(found, partial(small_picture, client))
    assert f"<p>Likeness 0.72. {prompts[0]}</p>" in page
    assert "simulator" not in page


def test_what_the_median_hides_is_said(client: StackClient, served: Served) -> None:
    """Pictures that did not count, or that show another person, stand under the numbers, with the job's id."""
    pictures = [
        PictureLikeness(number=number, likeness=likeness)
        for number, likeness in enumerate((None, None, 0.09, 0.96), 1)
    ]
    hiding = Likeness(likeness=0.53, among_photos=0.98, pictures=tuple(pictures))
    served.add(version(2, proof=ProofSheet(pictures=("ada-1",), likeness=hiding)))
    found = compared(client)
    said = "2 of 4 pictures have a face that can be compared. Picture 3 shows another person."
    assert (found.a.likeness_note, found.b.likeness_note) == ("", said)
    page = comparison_page(found, partial(small_picture, client))
    assert f"<p>{version(2).job_id}: {said}</p>" in page


def test_simulators_pictures_are_said(stack: Stack, served: Served) -> None:
    simulated = replace(stack, simulated=DRAWN)
    found = compared(answering(simulated, served))
    assert found.simulated == DRAWN
    assert "simulator: the pictures are drawn" in comparison_page(found, lambda _: None)


@pytest.mark.promise("nothing leaks", "The page of a comparison runs nothing and fetches nothing.")
def test_page_is_harmless(client: StackClient, served: Served) -> None:
    hostile = "</td><script>alert(1)</script>"
    served.add(
        version(2, parameters=TrainingParameters(steps=1000, trigger_phrase=hostile)),
        report_of(hostile),
    )
    page = comparison_page(compared(client), partial(small_picture, client))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src &#x27;none&#x27;" in page
    assert not re.search(r'(src|href)="(?!data:image/jpeg)', page)


@pytest.mark.parametrize("body", [b"", b"not a picture", JPEG[:1000]])
def test_broken_picture_is_left_out(client: StackClient, served: Served, body: bytes) -> None:
    served.put(version(2), "proof/1/picture.jpg", body)
    page = comparison_page(compared(client), partial(small_picture, client))
    assert page.count("no picture") == 2


def test_missing_picture_is_left_out(client: StackClient) -> None:
    assert small_picture(client, "ada/proof/1/picture.jpg") is None


def test_comparison_without_proof_sheets(stack: Stack, served: Served) -> None:
    """Jobs without proof sheets, reports or facts are compared by what is known."""
    older = {"lora": None, "content_digest": None, "images": None}
    served.add(version(8, "portrait/bob.zip", **older))
    served.add(version(9, "portrait/bob.zip", **older))
    ids = [version(number, "portrait/bob.zip").job_id for number in (8, 9)]
    client = answering(stack, served)
    found = Comparison.of(client, *ids)
    assert (found.pictures, found.changes.photos, found.a.likeness) == ({}, None, None)
    assert not {"rank", "likeness", "photos"} & {row.name for row in comparison_rows(found)}
    page = comparison_page(found, partial(small_picture, client))
    assert "Proof sheets" not in page
    assert "Which photos differ is not known" in page


def test_same_job_twice_is_said(stack: Stack, served: Served) -> None:
    with connected(stack, served) as drop, pytest.raises(LoraDropError, match="Both are the job"):
        drop.compare(version(1).job_id, version(1).job_id)
    assert served.asked == []


def test_unknown_job_is_said(stack: Stack, served: Served) -> None:
    with connected(stack, served) as drop, pytest.raises(JobNotFoundError):
        drop.compare(version(1).job_id, "eve-0000000000")


def test_job_without_lora_is_said(stack: Stack, served: Served) -> None:
    served.add(version(3).model_copy(update={"status": Status.FAILED, "files": ()}))
    with connected(stack, served) as drop, pytest.raises(LoraDropError) as said:
        drop.compare(version(1).job_id, version(3).job_id)
    job_id = version(3).job_id
    assert str(said.value) == (
        f"{job_id} is FAILED and has no LoRA to compare. See why: drop.job('{job_id}').problems"
    )


def test_comparison_is_plain_data(client: StackClient) -> None:
    found = json.loads(json.dumps(comparison_document(compared(client))))
    assert found["parameters"] == {"steps": {"before": 1000, "after": 2000}}
    assert found["photos"] == {"added": ["c.jpg"], "removed": ["a.jpg"], "captions": []}
    assert found["a"]["job_id"] == version(1).job_id


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.4, "7 s"), (60, "1 min 0 s"), (1799.6, "30 min 0 s")]
)
def test_duration_is_in_minutes(seconds: float, said: str) -> None:
    assert duration(seconds) == said
