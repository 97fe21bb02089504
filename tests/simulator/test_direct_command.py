"""`lora-drop train PATH --direct` against the simulator: a key is all it takes, and nothing is paid twice."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lora_drop.cli.main import application
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.jobs.errors import FalUnavailableError, KeyRefusedError
from lora_drop.results.safetensors import check_weights
from tests.simulator.conftest import PointFalClient, dataset
from tests.simulator.fal_calls import Calls, data_uri
from tests.simulator.test_portrait_trainer import KilledError

type Direct = Callable[..., Result]


@pytest.fixture
def direct(
    calls: Calls,
    point_fal_client: PointFalClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Direct:
    """Run the command in an empty folder, with a simulator in the place of fal."""
    point_fal_client(calls.sim)
    where = {"FAL_REST_URL": "", "FAL_CDN_URL": "", "FAL_API_URL": "/v1"}
    for name, path in where.items():
        monkeypatch.setenv(name, calls.sim.base_url + path)
    monkeypatch.setenv("ARTIFACT_HOSTS", calls.sim.base_url.removeprefix("https://"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lora_drop.client.following.INTERVAL", 0.01)
    monkeypatch.setattr("lora_drop.client.following.LEAST", 0.01)
    (tmp_path / "ada.zip").write_bytes(dataset())

    def run(*words: object, answer: str = "") -> Result:
        said = ["train", *(words or ("ada.zip",)), "--direct"]
        return CliRunner().invoke(application(), [str(word) for word in said], input=answer)

    return run


@pytest.mark.promise("never pay twice")
def test_key_is_all_it_takes(direct: Direct, calls: Calls, tmp_path: Path) -> None:
    """Without a stack, a path becomes a checked LoRA in a folder here; run again, it pays nothing."""
    first = direct("ada.zip", "--yes", "--trigger", "ada", "--reference", "user-42")
    assert first.exit_code == 0, first.stderr
    for words in ("accepted, 12 images, about $6.00", "100 %, step 2,500 of 2,500", "SUCCEEDED"):
        assert words in first.stderr
    [folder] = [each for each in tmp_path.glob("ada-*") if each.is_dir()]
    names = {each.name for each in folder.iterdir()}
    assert names == {"lora.safetensors", "config.json", "job.json", "report.html", "report.json"}
    record = json.loads((folder / "job.json").read_text())
    lora = folder / "lora.safetensors"
    check_weights(lora.read_bytes(), file_size=lora.stat().st_size)
    assert first.stdout.split()[3] == f"sha256:{record['files'][0]['sha256']}"
    assert (record["reference"], record["parameters"]["trigger_phrase"]) == ("user-42", "ada")

    again = direct("ada.zip", "--trigger", "ada", "--json")
    assert json.loads(again.stdout)["files"] == record["files"]
    assert "nothing is paid now" in again.stderr
    assert len(calls.sim.requests()) == 1


def test_other_commands_know_it(
    direct: Direct, calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A training without a stack is found by its folder or its request id, also in another folder."""

    def run(*words: object) -> Result:
        return CliRunner().invoke(application(), [str(word) for word in words])

    request_id = direct("ada.zip", "--yes", "--trigger", "ada", "--no-wait").stdout.strip()
    for name in (
        request_id,
        request_id[:8],
        request_id[-8:],
        f"ada-{request_id[-8:]}",
        tmp_path / f"ada-{request_id[-8:]}",
    ):
        assert "lora-drop watch " + request_id in run("usage", name).stderr
    calls.ended(request_id)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    followed = run("watch", request_id)
    assert (followed.exit_code, followed.stdout.split()[:2]) == (0, ["SUCCEEDED", request_id])
    folder = tmp_path / f"ada-{request_id[-8:]}"
    assert f"lora-drop usage {folder}" in followed.stderr
    for name in (request_id, folder):
        used = run("usage", name)
        assert str(folder / "lora.safetensors") in used.stdout
        assert "a photo of ada" in used.stdout
    assert "which pays nothing" in run("open", folder).stderr.replace("\n", " ")
    monkeypatch.chdir(tmp_path)
    again = direct("ada.zip", "--yes", "--trigger", "ada")
    assert (folder / "report.html").is_file()
    assert f"lora-drop usage {folder.name}" in again.stderr
    cancelled = run("cancel", folder)
    assert (cancelled.exit_code, "had ended before" in cancelled.stdout) == (1, True)
    for words in REFUSING:
        assert f"lora-drop watch {request_id}" in run(*words, folder).stderr
    unknown = run("watch", "11111111-1111-4111-8111-111111111111")
    assert "This machine has sent no request" in unknown.stderr
    assert len(calls.sim.requests()) == 1


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("phrase", [["--trigger", "ada"], []], ids=["a phrase", "a made-up one"])
def test_same_photos_are_paid_once(
    direct: Direct, calls: Calls, tmp_path: Path, phrase: list[str]
) -> None:
    """Without a stack, a clean copy, its folder and its files packed otherwise are the same training."""
    photos, clean = tmp_path / "photos", tmp_path / "clean"
    zipfile.ZipFile(io.BytesIO(dataset(kind="HEIF"))).extractall(photos)
    (photos / "0.txt").write_text("a portrait")
    words = [*phrase, "--steps", "1302", "--yes"]
    first = direct("photos", *words, "--json")
    for target in ("clean", "clean.zip"):
        fixed = CliRunner().invoke(application(), ["check", "photos", "--fix", target, *phrase])
        assert fixed.exit_code == 0, fixed.stderr
    with zipfile.ZipFile("packed.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(clean.iterdir(), reverse=True):
            packed.write(file, f"album/{file.name}")
    for name in ("photos", "clean.zip", "clean", "packed.zip"):
        again = direct(name, *words, "--json")
        assert "nothing is paid now" in again.stderr, name
        assert json.loads(again.stdout)["parameters"] == json.loads(first.stdout)["parameters"]
    assert len(calls.sim.requests()) == 1
    (clean / "0.txt").write_text("another portrait")
    direct("clean", *words)
    assert len(calls.sim.requests()) == 2


def test_lost_answer_says_what_to_do(direct: Direct, calls: Calls) -> None:
    calls.sim.inject("submit_answer_lost")
    lost = direct("ada.zip", "--yes")
    assert "It may be paid. Run the same command again: it looks for it at fal first" in lost.stderr
    assert "and pays nothing for what is there." in lost.stderr
    assert direct("ada.zip", "--yes").exit_code == 0
    assert len(calls.sim.requests()) == 1


REFUSING = [["job"], ["retry"], ["download"], ["forget"], ["approve"], ["replay"], ["resolve"]]


@pytest.mark.usefixtures("calls")
def test_trainings_are_listed_without_a_stack(
    direct: Direct, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a fal key and no stack, jobs lists what this machine has sent, and train names --direct first."""
    monkeypatch.setenv("LORA_DROP_HOME", str(tmp_path / "no-stack"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Result:
        return CliRunner().invoke(application(), words)

    assert "has sent no training to fal" in run("jobs").stderr
    request_id = direct("ada.zip", "--yes", "--trigger", "ada", "--no-wait").stdout.strip()
    folder = tmp_path / f"ada-{request_id[-8:]}"
    for status, command in (("SUBMITTED", "watch"), ("SUCCEEDED", "jobs")):
        shown = run("jobs").stdout.splitlines()
        assert shown[0].split()[2:] == [status, folder.name, "ada"]
        assert shown[1].strip() == request_id
        assert max(map(len, shown)) <= 80
        run(command, request_id)
    [row] = [
        json.loads(line)
        for line in run("jobs", "--json", "--dataset", "ada.zip").stdout.splitlines()
    ]
    assert (row["status"], row["folder"]) == ("SUCCEEDED", str(folder))
    assert run("jobs", "--status", "held").stdout == ""
    first = run("train", "photos/", "--trigger", "ada").stderr.replace("\n", " ")
    alone = "lora-drop train photos/ --trigger ada --direct"
    assert first.startswith(f"There is no stack here. With your fal key alone: {alone}")
    assert "lora-drop jobs lists the trainings" in run("budget").stderr.replace("\n", " ")


ASKED: dict[str, tuple[bool, str, int, int]] = {  # how it ends, and how often it is paid
    "no terminal": (False, "", 1, 0),
    "no": (True, "n\n", 1, 0),
    "the input ends, as Ctrl-C": (True, "", 130, 0),
    "yes": (True, "y\n", 0, 1),
}


@pytest.mark.parametrize("case", ASKED)
def test_price_is_agreed_to_first(
    direct: Direct, calls: Calls, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    terminal, answer, ended, paid = ASKED[case]
    monkeypatch.setattr("lora_drop.cli.direct._can_ask", lambda: terminal)
    result = direct("ada.zip", "--no-wait", answer=answer)
    assert "about $6.00" in result.stderr
    assert (result.exit_code, len(calls.sim.requests())) == (ended, paid)
    assert ("Nothing was sent" in result.stderr) is (not paid)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "too few": (lambda: data_uri(dataset(images=9)), "The archive holds 9 images"),
    "no ZIP": (lambda: data_uri(b"Rar!" + bytes(99)), "The archive must be a ZIP"),
    "a folder": (lambda: _folder(9), "The folder holds 9 images"),
}


def _folder(images: int) -> Path:
    """A folder here with the files of a dataset."""
    zipfile.ZipFile(io.BytesIO(dataset(images=images))).extractall("album")
    return Path("album")


@pytest.mark.parametrize("case", REFUSED)
def test_known_errors_are_said_before_paying(direct: Direct, calls: Calls, case: str) -> None:
    content, sentence = REFUSED[case]
    result = direct(content(), "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {sentence}")
    assert len(re.findall("at least 10|must be a ZIP", result.stderr, re.IGNORECASE)) == 1
    assert "Nothing was sent." in result.stderr
    assert calls.sim.requests() == []


FAILS = {
    "archive_file_count_below_minimum": "At least 10 images are needed. fal ended the training",
    "invalid_archive": "The archive must be a ZIP. fal ended the training",
    "image_load_error": "Open and save it again. To pay for another training of the same dataset: "
    "lora-drop train ada.zip --steps 1200 --direct --force\n",
    "internal_error": "fal does not bill it. The failure is fal's own. Train it again: "
    "lora-drop train ada.zip --steps 1200 --direct --force\n",
}


@pytest.mark.parametrize("kind", FAILS)
def test_what_fal_says_is_passed_on(direct: Direct, calls: Calls, kind: str) -> None:
    calls.sim.inject("training_error", type=kind)
    result = direct("ada.zip", "--yes", "--steps", "1200")
    assert result.exit_code == 1
    assert FAILS[kind] in result.stderr
    [request] = calls.sim.requests()
    watched = CliRunner().invoke(application(), ["watch", request["request_id"][:8]])
    assert watched.exit_code == 1
    assert "PATH" not in watched.stderr
    if "lora-drop" in FAILS[kind]:
        assert re.search(
            r"train ada.zip (.* )?--steps 1200 (.* )?--direct --force\n", watched.stderr
        )


@pytest.mark.promise("never pay twice")
def test_interrupted_command_goes_on(
    direct: Direct, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C and a kill leave the training at fal, and the same command finds it again without a payment."""
    with monkeypatch.context() as patch:
        patch.setattr(PortraitTrainer, "look", raising(KeyboardInterrupt))
        interrupted = direct("ada.zip", "--yes")
        patch.setattr(PortraitTrainer, "look", raising(KilledError))
        with pytest.raises(KilledError):
            direct("ada.zip", "--yes")
    assert interrupted.exit_code == 130
    assert "The training goes on at fal" in interrupted.stderr
    assert direct("ada.zip", "--yes").exit_code == 0
    assert len(calls.sim.requests()) == 1


def test_silence_is_said_with_its_time(direct: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    look, silent = PortraitTrainer.look, iter([True, True])

    def looked(trainer: PortraitTrainer, request_id: str) -> Any:
        if next(silent, False):
            raise FalUnavailableError("fal did not answer: ConnectError")
        return look(trainer, request_id)

    monkeypatch.setattr(PortraitTrainer, "look", looked)
    result = direct("ada.zip", "--yes")
    assert result.exit_code == 0
    said = re.findall(
        r"fal does not answer since \d\d:\d\d, the training goes on there\.", result.stderr
    )
    assert len(said) == 1
    assert "fal answers again." in result.stderr
    assert "ConnectError" not in result.stderr


@pytest.mark.promise("never lose a result")
def test_wrong_file_is_not_kept(direct: Direct, calls: Calls, tmp_path: Path) -> None:
    """Without a stack, a file that does not come whole is no result: nothing is left, and a second run fetches it."""
    calls.ended(direct("ada.zip", "--yes", "--no-wait").stdout.strip())
    calls.sim.inject("download_cut", times=20)
    cut = direct("ada.zip", "--yes", "--to", "lora")
    assert cut.exit_code == 1
    assert "run the same command again" in cut.stderr
    assert [*(tmp_path / "lora").iterdir()] == []
    calls.sim.clear()
    assert direct("ada.zip", "--yes", "--to", "lora").exit_code == 0
    (tmp_path / "lora" / "lora.safetensors").write_bytes(b"mine")
    other = direct("ada.zip", "--yes", "--to", "lora")
    assert "is there already, and is another file" in other.stderr
    assert (tmp_path / "lora" / "lora.safetensors").read_bytes() == b"mine"


def test_other_parameters_of_same_photos_are_said(
    direct: Direct, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert direct("ada.zip", "--yes", "--no-wait", "--trigger", "ada").exit_code == 0
    monkeypatch.setattr("lora_drop.cli.direct._can_ask", lambda: True)
    asked = direct("ada.zip", "--trigger", "bob", answer="n\n").stderr
    said = r"These photos were trained at \d\d:\d\d with other parameters: trigger phrase ada\n"
    assert re.search(rf"{said}(.*\n)*Pay fal", asked)
    assert len(calls.sim.requests()) == 1


INTERRUPTED: dict[str, tuple[str, str]] = {
    "upload": ("upload", "Interrupted while uploading: nothing was sent, nothing is paid.\n"),
    "POST": ("_pay", "Interrupted while the training was sent: it may be paid. Run the same"),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("case", INTERRUPTED)
def test_interrupted_sending_says_what_is_paid(
    direct: Direct, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Ctrl-C before fal's answer says whether a training without a stack may be paid."""
    method, said = INTERRUPTED[case]
    monkeypatch.setattr(PortraitTrainer, method, raising(KeyboardInterrupt))
    result = direct("ada.zip", "--yes")
    assert result.exit_code == 130
    assert said in result.stderr


def test_wrong_key_sends_nothing(
    direct: Direct, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "another:key")
    result = direct("ada.zip", "--yes")
    assert "fal's storage says 401. Nothing was sent.\n" in result.stderr
    assert (result.exit_code, calls.sim.requests()) == (1, [])


@pytest.mark.promise("never pay twice")
def test_folder_is_looked_at_before_paying(direct: Direct, calls: Calls, tmp_path: Path) -> None:
    """Without a stack, a folder that is a file or holds another training is refused before anything is paid."""
    (tmp_path / "file").write_bytes(b"mine")
    assert direct("ada.zip", "--yes", "--to", "file/lora").exit_code == 1
    assert calls.sim.requests() == []
    assert direct("ada.zip", "--yes", "--to", "lora").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:  # what is here needs fal no more
        patch.setattr(PortraitTrainer, "look", raising(AssertionError))
        assert direct("ada.zip", "--yes", "--to", "lora").exit_code == 0
    for words in (["--force"], ["--steps", "1200"]):
        other = direct("ada.zip", "--yes", "--to", "lora", *words)
        assert (other.exit_code, len(calls.sim.requests())) == (1, 1)
        assert "is of another training. Nothing was sent" in other.stderr


def test_timeout_and_refused_key_end_the_view(
    direct: Direct, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls.sim.inject("training_slow", seconds=5)
    over = direct("ada.zip", "--yes", "--timeout", "0.1")
    assert over.exit_code == 1
    assert "The training goes on at fal" in over.stderr
    monkeypatch.setattr("lora_drop.client.direct_patience.KEY_PATIENCE", 0.1)
    monkeypatch.setenv("FAL_KEY", calls.sim.key)
    monkeypatch.setattr(PortraitTrainer, "_look", raising(KeyRefusedError))
    refused = direct("ada.zip", "--yes")
    assert refused.exit_code == 1
    assert "Set a valid FAL_KEY: https://fal.ai/dashboard/keys" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--key", "a.zip"], "go with a stack"),
        (["--trainer", "none"], "There is no trainer none"),
        (["--trainer", "flux-lora"], "Did you mean --trainer flux-lora-portrait-trainer?"),
        (["--set", "data_archive_format=rar"], "must be a ZIP"),
        (["--resume-from-checkpoint", "ada-1"], "https:// address"),
        (["--steps", "0"], "it takes 1 to 10000"),
    ],
)
def test_wrong_words_send_nothing(
    direct: Direct, calls: Calls, words: list[str], said: str
) -> None:
    result = direct("ada.zip", "--yes", *words)
    assert (result.exit_code, calls.sim.requests()) == (1, [])
    assert said in result.stderr


@pytest.mark.proof
def test_percent_is_fresh_in_a_real_run(direct: Direct, calls: Calls) -> None:
    """With tqdm lines at 1 Hz and looks once a second, the percent shown is 3 s old at most, and ends at 100."""
    lasts, lines = 20.0, list[tuple[float, dict[str, Any]]]()
    calls.sim.inject("training_slow", seconds=lasts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lora_drop.client.following.INTERVAL", 1.0)
        patch.setattr("lora_drop.cli.terminal.write", lambda row: lines.append((monotonic(), row)))
        direct("ada.zip", "--yes", "--json", "--progress")
    steps = [(at, row["progress"]) for at, row in lines if "progress" in row]
    far = [(at, step["training"]) for at, step in steps if "training" in step]
    begun = next(at for at, step in steps if step.get("status") == "TRAINING")
    percents = [each["percent"] for _, each in far]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    for (_, each), (until, _) in pairwise(far):
        assert each["percent"] >= min(100, 100 * (until - 3.0 - 1.0 - begun) / lasts)


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def raises(*_: object, **__: object) -> None:
        raise error

    return raises
