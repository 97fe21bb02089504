"""What the page shows and does in each of its states, over a backend that says what a test wants."""

import io
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.status import Status
from lora_drop.ui.app import make_app
from lora_drop.ui.backends import Action, CardPicture, JobFile, LogLine, ProofCard
from lora_drop.ui.drafts import Draft, Drafts
from lora_drop.ui.training_form import parameters_in
from tests.support.drafts import checked as checked_draft
from tests.support.drafts import drafts, number_of, workers
from tests.support.page_backend import AT, StubBackend, job
from tests.support.page_client import PageClient
from tests.support.portraits import ALIKE, CAPTIONED, DAMAGED, LIKE, portrait_folder

__all__ = ["drafts", "workers"]
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'
SCRIPT = "<script>alert"
MARK = re.compile(r'name="mark" value="(\w+)"')


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portrait_folder(tmp_path_factory.mktemp("photos") / "ada", long_side=800)


@pytest.fixture
def backend() -> StubBackend:
    return StubBackend()


@pytest.fixture
def page(backend: StubBackend, drafts: Drafts) -> PageClient:
    return PageClient(make_app(backend, drafts))


def drop(page: PageClient, folder: Path, name: str = "ada") -> str:
    """Drop a folder as the script does, and return the address of its sheet."""
    address: str = page.post("/drafts", data={"name": name}).json()["address"]
    for file in sorted(folder.iterdir()):
        put = page.put(f"{address}/files", params={"name": file.name}, content=file.read_bytes())
        assert put.status_code == 201, put.text
    assert page.post(f"{address}/finish", headers={"Accept": "application/json"}).is_success
    return address


def checked(drafts: Drafts, address: str) -> Draft:
    """The draft of an address once its newest check has ended."""
    return checked_draft(drafts, address.rpartition("/")[2])


def shown(page: PageClient, address: str) -> str:
    answer = page.get(address)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_sheet_shows_every_verdict(page: PageClient, drafts: Drafts, photos: Path) -> None:
    address = drop(page, photos)
    draft = checked(drafts, address)
    text = shown(page, address)
    assert text.count('class="photo ') == 30
    assert "Cannot be trained on yet." in text
    assert f'href="#photo-{number_of(draft, DAMAGED)}"' in text  # what to do leads to the photo
    assert 'id="train" disabled' in text
    for kind, count in (("refused", 1), ("advised", 2), ("image_blurred", 1), ("kept", 29)):
        assert shown(page, f"{address}?show={kind}").count('class="photo ') == count, kind


def test_rejected_photo_goes_and_the_rest_trains(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path
) -> None:
    """Left out without a script: the form answers with the way back to the photo, and the dataset can be paid."""
    address = drop(page, photos)
    draft = checked(drafts, address)
    left = number_of(draft, DAMAGED)
    answer = page.post(f"{address}/photos/{left}/reject")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{address}#photo-{left}")
    page.post(
        f"{address}/photos/{number_of(draft, CAPTIONED)}/caption",
        data={"caption": "laughs\r\nloud"},
    )
    draft = checked(drafts, address)
    text = shown(page, address)
    assert "29 photos will be trained on." in text
    assert "Train for $6.00" in text
    page.post(f"{address}/parameters", data={"preset": "portrait"})
    draft = checked(drafts, address)
    assert "Train for $3.60" in shown(page, address)

    sent = page.post(f"{address}/train", data={"revision": str(draft.revision)})
    assert sent.headers["location"] == address
    wait_for(lambda: bool((order := drafts.get(draft.id).order) and order.job_id))
    assert page.get(address).headers["location"] == "/jobs/ada-training"
    [(data, name, parameters)] = backend.trained
    sent_with = {"trainer": DEFAULT.application, "preset": "portrait", "proof": False}
    assert (name, parameters) == ("ada", sent_with)
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert DAMAGED not in archive.namelist()
    assert archive.read(CAPTIONED.replace("jpg", "txt")) == b"laughs\nloud"


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_was_sent_over_another_backend_stays_there(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path
) -> None:
    """No Train, and no job that this backend does not know: what to do, and a way to begin again."""
    address = drop(page, photos)
    checked(drafts, address)
    page.post(f"{address}/reject-refused")
    draft = checked(drafts, address)
    page.post(f"{address}/train", data={"revision": str(draft.revision)})
    wait_for(lambda: bool((order := drafts.get(draft.id).order) and order.job_id))
    backend.name = "fal.ai with a key alone"
    text = shown(page, address)
    assert "This was sent over stack lora-drop, eu-central-1" in text
    assert ('id="train"' in text, 'id="again"' in text) == (False, True)
    answer = page.post(f"{address}/train", data={"revision": str(draft.revision)})
    assert answer.status_code == 409
    assert len(backend.trained) == 1


def test_price_of_another_revision_pays_nothing(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path
) -> None:
    address = drop(page, photos)
    draft = checked(drafts, address)
    page.post(f"{address}/photos/{number_of(draft, DAMAGED)}/reject")
    draft = checked(drafts, address)
    for revision in (str(draft.revision - 1), "", "x", "9" * 5000):
        answer = page.post(f"{address}/train", data={"revision": revision})
        assert answer.status_code == 409, revision
    assert backend.trained == []


def test_duplicate_stands_beside_its_pair(page: PageClient, drafts: Drafts, photos: Path) -> None:
    address = drop(page, photos)
    draft = checked(drafts, address)
    text = shown(page, f"{address}/photos/{number_of(draft, ALIKE)}")
    assert text.count("<figure>") == 2
    assert f'It looks like <a href="{address}/photos/{number_of(draft, LIKE)}">' in text


def test_script_gets_the_parts_that_change(page: PageClient, drafts: Drafts, photos: Path) -> None:
    address = drop(page, photos)
    left = number_of(checked(drafts, address), DAMAGED)
    answer = page.post(f"{address}/photos/{left}/reject", headers={"HX-Request": "true"})
    assert answer.text.startswith("<li ")
    for part in ("verdict", "filters", "options", "price"):
        assert f'id="{part}"' in answer.text
    assert "You left it out." in answer.text
    refused = page.post(f"{address}/train", data={"revision": "0"}, headers={"HX-Request": "true"})
    assert (refused.status_code, 'id="said"' in refused.text) == (409, True)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.TRAINING, ["Step <strong>740</strong> of 1,500", "about 12 min left", "loss=0.4"]),
        (Status.HELD, ["Waits for you", "MaxJobUsd", 'href="/jobs/ada-held/approve"']),
        (Status.SUBMITTED, ["3 requests before it", "connection refused."]),
        (Status.READY, ["2 older jobs come first."]),
        (Status.SUCCEEDED, ["lora.safetensors", "89.7 MB", "Write <strong>ada</strong>", "import fal_client"]),
        (Status.FAILED, ["fal could not train it.", "Train again"]),
        (Status.REJECTED, ["Nothing was paid", "IMG_0007.jpg"]),
    ],
)  # fmt: skip
def test_job_says_where_it_stands(page: PageClient, status: Status, words: list[str]) -> None:
    text = unescape(shown(page, f"/jobs/ada-{status.lower()}"))
    for each in words:
        assert each in text


def test_decision_is_asked_and_done_once(page: PageClient, backend: StubBackend) -> None:
    for action in Action:
        address = f"/jobs/ada-succeeded/{action}"
        assert "It costs $3.60" in shown(page, address)
        assert backend.acted == []
        mark = MARK.findall(shown(page, address))[0]
        answer = page.post(address, data={"mark": mark})
        target = "/?erased=1" if action is Action.FORGET else "/jobs/ada-succeeded"
        assert (answer.status_code, answer.headers["location"]) == (303, target)
        assert backend.acted == [("ada-succeeded", action)]
        backend.acted.clear()


@pytest.mark.promise("never lose a result")
def test_stale_decision_does_nothing(page: PageClient, backend: StubBackend) -> None:
    """What was asked about and stands differently by now is not done: an erasing that would take more, a cancelling that would cost."""
    address = "/jobs/ada-succeeded/forget"
    mark = MARK.findall(shown(page, address))[0]
    backend.words = "It takes another job with it ({})."
    for given in ({"mark": mark}, {"mark": ""}, {}):
        answer = page.post(address, data=given)
        assert (answer.status_code, "stands differently" in answer.text) == (409, True)
    assert backend.acted == []


def test_erased_job_takes_its_photos_from_this_machine(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path
) -> None:
    address = drop(page, photos)
    checked(drafts, address)
    page.post(f"{address}/reject-refused")
    draft = checked(drafts, address)
    page.post(f"{address}/train", data={"revision": str(draft.revision)})
    wait_for(lambda: bool((order := drafts.get(draft.id).order) and order.job_id))
    mark = MARK.findall(shown(page, "/jobs/ada-training/forget"))[0]
    page.post("/jobs/ada-training/forget", data={"mark": mark})
    assert backend.acted == [("ada-training", Action.FORGET)]
    assert drafts.all() == []


def test_typed_field_is_set_before_it_is_paid(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path
) -> None:
    """Train pressed right after a key sends nothing: the field is set, and the price is shown again."""
    address = drop(page, photos)
    checked(drafts, address)
    page.post(f"{address}/reject-refused")
    draft = checked(drafts, address)
    form = {"revision": str(draft.revision), "trigger_phrase": "ada", "steps": ""}
    answer = page.post(f"{address}/train", data=form)
    assert (answer.status_code, "press Train again" in answer.text) == (409, True)
    draft = checked(drafts, address)
    assert (draft.parameters, draft.order, backend.trained) == ({"trigger_phrase": "ada"}, None, [])
    assert page.post(f"{address}/train", data={**form, "revision": str(draft.revision)}).is_redirect
    wait_for(lambda: bool(backend.trained))


@pytest.mark.promise("never pay twice")
def test_proof_sheet_is_ordered_and_priced(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path
) -> None:
    """The box orders a proof sheet; its price is in the one that is paid, and what the box shows is set before that."""
    address = drop(page, photos)
    checked(drafts, address)
    page.post(f"{address}/reject-refused")
    draft = checked(drafts, address)
    text = shown(page, address)
    assert "four pictures with the new LoRA, about $0.14" in text
    assert ('value="true" checked' in text, "Train for $6.00" in text) == (False, True)
    unset = {"revision": str(draft.revision), "proof": "true"}
    assert page.post(f"{address}/train", data=unset).status_code == 409
    draft = checked(drafts, address)
    assert (draft.parameters, backend.trained) == ({"proof": "true"}, [])
    text = shown(page, address)
    assert ('value="true" checked' in text, "Train for $6.14" in text) == (True, True)
    stale = {"revision": str(draft.revision), "proof_shown": "false"}
    assert page.post(f"{address}/train", data=stale).status_code == 409
    page.post(f"{address}/parameters", data={"proof": "true"})
    draft = checked(drafts, address)
    form = {"revision": str(draft.revision), "proof_shown": "true"}
    for _ in range(2):
        assert page.post(f"{address}/train", data=form).is_redirect
    wait_for(lambda: bool((order := drafts.get(draft.id).order) and order.job_id))
    assert [each[2]["proof"] for each in backend.trained] == [True]
    assert drafts.get(draft.id).order.proof is True  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("usual", "trainer", "box"),
    [
        (True, None, "checked"),
        (False, None, "empty"),
        (None, None, "none"),  # with a fal key alone, or over a stack of an earlier version
        (True, "qwen-image-trainer", "none"),  # fal makes no pictures with its LoRAs
    ],
)
def test_box_stands_as_the_stack_does(
    page: PageClient,
    drafts: Drafts,
    backend: StubBackend,
    photos: Path,
    usual: bool | None,  # noqa: FBT001  # None is neither
    trainer: str | None,
    box: str,
) -> None:
    backend.proof = usual
    address = drop(page, photos)
    draft = checked(drafts, address)
    if trainer:
        drafts.set_parameters(draft.id, {"trainer": trainer})
        checked(drafts, address)
    text = shown(page, address)
    there = 'id="input-proof"' in text
    assert ("checked" if 'value="true" checked' in text else "empty" if there else "none") == box


def test_box_that_was_not_touched_sets_nothing() -> None:
    rows = [
        ({"proof": "false"}, {}, False, {}),
        ({"proof": "true"}, {}, True, {}),
        ({"proof": "true"}, {}, False, {"proof": "true"}),
        ({"proof": "false"}, {"proof": "true"}, False, {"proof": "false"}),
        ({"preset": "fast"}, {"proof": "true"}, False, {"preset": "fast", "proof": "true"}),
        ({"proof": "true"}, {}, None, {}),
    ]
    for form, before, usual, after in rows:
        assert parameters_in(form, before, proof=usual) == after


def test_photos_are_used_again_with_what_was_decided(
    page: PageClient, drafts: Drafts, photos: Path
) -> None:
    address = drop(page, photos)
    checked(drafts, address)
    page.post(f"{address}/reject-refused")
    draft = checked(drafts, address)
    page.post(f"{address}/photos/{number_of(draft, CAPTIONED)}/caption", data={"caption": "laughs"})
    draft = checked(drafts, address)
    page.post(f"{address}/train", data={"revision": str(draft.revision)})
    wait_for(lambda: bool((order := drafts.get(draft.id).order) and order.job_id))
    assert f"{address}/again" in shown(page, "/jobs/ada-training")

    copy = page.post(f"{address}/again").headers["location"]
    made = checked(drafts, copy)
    assert (made.rejected, made.captions) == (draft.rejected, draft.captions)
    assert made.order is None
    assert "29 photos will be trained on." in shown(page, copy)
    page.post(f"{copy}/photos/{number_of(made, DAMAGED)}/keep")
    page.post(f"{address}/discard")
    assert not checked(drafts, copy).report.accepted  # type: ignore[union-attr]  # it is checked


def test_list_is_filtered_by_its_address(page: PageClient) -> None:
    rows = 'class="title" href="/jobs/'
    assert shown(page, "/").count(rows) == 10
    assert shown(page, "/?status=HELD").count(rows) == 1
    assert shown(page, "/?search=train").count(rows) == 1
    assert "No job fits." in shown(page, "/?search=nothing&status=HELD")
    assert shown(page, "/?status=nonsense").count(rows) == 10
    assert shown(page, "/").count("looks like the photos: <strong>0.84 of 0.86</strong>") == 1


def test_earlier_jobs_sheet_is_a_link(page: PageClient, backend: StubBackend) -> None:
    note = "The one of this LoRA belongs to ada-1: lora-drop job ada-1 shows it."
    done = next(each for each in backend.cards.values() if each.status is Status.SUCCEEDED)
    proof = ProofCard(done=True, note=note)
    backend.cards["twice"] = replace(done, id="twice", duplicate_of="ada-1", proof=proof)
    text = shown(page, "/jobs/twice")
    assert "lora-drop job ada-1" not in text
    assert 'belongs to the earlier job: <a href="/jobs/ada-1">ada-1</a>' in text


def test_silent_stack_is_said_and_the_drop_works(page: PageClient, backend: StubBackend) -> None:
    backend.unreachable = True
    text = shown(page, "/")
    assert "The stack does not answer." in text
    assert 'id="drop"' in text
    assert page.get("/jobs/ada-held").status_code == 409


def test_unknown_is_404_with_a_way_back(page: PageClient) -> None:
    digits = "9" * 5000
    for address in (
        "/jobs/none",
        "/nothing",
        "/drafts/0123456789abcdef",
        f"/drafts/0123456789abcdef/photos/{digits}",
    ):
        answer = page.get(address)
        assert answer.status_code == 404, address
        assert 'href="/"' in answer.text
    assert page.put("/").status_code == 405


@pytest.mark.promise("nothing leaks")
def test_hostile_words_are_only_words(
    page: PageClient, drafts: Drafts, backend: StubBackend, photos: Path, tmp_path: Path
) -> None:
    """A script in the name of a file or a dataset, a caption, a log line, a trigger phrase or a problem is text on every page."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for file in sorted(photos.iterdir())[:12]:
        (folder / file.name).write_bytes(file.read_bytes())
    address: str = page.post("/drafts", data={"name": HOSTILE}).json()["address"]
    for file in sorted(folder.iterdir()):
        name = HOSTILE.replace("/", "_") + file.name
        page.put(f"{address}/files", params={"name": name}, content=file.read_bytes())
    page.post(f"{address}/finish", headers={"Accept": "application/json"})
    draft = checked(drafts, address)
    first = next(file for file in draft.files if file.name.endswith("1.jpg"))
    page.post(f"{address}/photos/{first.number}/caption", data={"caption": HOSTILE})
    page.post(f"{address}/parameters", data={"trigger_phrase": "<script>alert(1)</script>"})
    checked(drafts, address)
    far = PublicProgress(step=1, steps=2, percent=50, eta_seconds=1, at=AT)
    backend.cards["bad"] = job(
        Status.TRAINING,
        id="bad",
        dataset=HOSTILE,
        trigger_phrase=HOSTILE,
        log=(LogLine(HOSTILE),),
        problems=(Problem(code="x", message=HOSTILE, member=HOSTILE),),
        progress=far,
        silence=HOSTILE,
        waiting=HOSTILE,
        cost=HOSTILE,
        location=HOSTILE,
    )
    backend.cards["done"] = replace(
        backend.cards["bad"],
        id="done",
        status=Status.SUCCEEDED,
        files=(JobFile(HOSTILE, 1, HOSTILE),),
        proof=ProofCard(
            done=True,
            pictures=(CardPicture(1, prompt=HOSTILE, remarks=(HOSTILE,)),),
            likeness=HOSTILE,
            advice=HOSTILE,
            note=HOSTILE,
        ),
    )
    places = (
        "/",
        address,
        f"{address}?show={HOSTILE}",
        f"{address}/photos/{first.number}",
        "/jobs/bad",
        "/jobs/done",
        f"/?search={HOSTILE}",
        f"{address}/discard",
    )
    for place in places:
        text = shown(page, place)
        assert SCRIPT not in text, place
        assert "<img src=x" not in text, place
        assert "\u202e" not in text.replace("<textarea", "").partition("</textarea>")[2], place


def test_report_can_do_nothing(page: PageClient) -> None:
    answer = page.get("/jobs/ada-succeeded/report")
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


def test_proof_sheet_is_shown(page: PageClient, backend: StubBackend) -> None:
    text = shown(page, "/jobs/ada-succeeded")
    assert "Looks like the photos: <strong>0.84 of the 0.86" in text
    assert 'src="/jobs/ada-succeeded/proof/1"' in text
    assert "It was not made: fal could not make it." in text
    assert "every 10s" not in text
    answer = page.get("/jobs/ada-succeeded/proof/2")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    backend.cards["ada-succeeded"] = job(Status.SUCCEEDED, proof=ProofCard(), id="ada-succeeded")
    assert "The pictures are being made." in shown(page, "/jobs/ada-succeeded")
    half = ProofCard(ended=2, total=4)
    backend.cards["ada-succeeded"] = job(Status.SUCCEEDED, proof=half, id="ada-succeeded")
    text = shown(page, "/jobs/ada-succeeded")
    assert "The pictures are being made (2 of 4)." in text
    assert 'hx-trigger="every 10s"' in text


@pytest.mark.parametrize("content", [None, b"<script>alert(1)</script>", b""])
def test_only_pictures_are_served(
    page: PageClient, backend: StubBackend, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    monkeypatch.setattr(backend, "picture", lambda _job, _number: content)
    answer = page.get("/jobs/ada-succeeded/proof/1")
    assert answer.status_code == 404
    assert "alert(1)" not in answer.text
    assert page.get("/jobs/ada-succeeded/proof/one").status_code == 404


def test_file_is_fetched_from_where_it_lies(
    page: PageClient, backend: StubBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = page.get("/jobs/ada-succeeded/files/lora.safetensors")
    assert (answer.status_code, answer.headers["location"][:31]) == (
        302,
        "https://models.example/ada-succ",
    )
    here = tmp_path / "lora.safetensors"
    here.write_bytes(b"weights")
    monkeypatch.setattr(backend, "file", lambda _job, _name: here)
    answer = page.get("/jobs/ada-succeeded/files/lora.safetensors")
    assert answer.content == b"weights"
    assert "attachment" in answer.headers["content-disposition"]
