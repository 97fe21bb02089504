"""The command starts at once, and its wheel stands alone, with all that a deployment needs."""

import os
import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import get_args

import pytest

import lora_drop
from lora_drop.cli import main, terminal
from lora_drop.datasets.parameters import PRESETS
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.status import Status
from lora_drop.local import tools
from lora_drop.local.stack import SAMPLE
from tests.support.phone import phone_dataset

NEEDS_EXTRA = [["fal-sim"], ["up"], ["demo"], ["deploy", "dev"]]
# As if only the wheel and what it requires were installed: no uv, and no module of the extra.
BASE_ONLY = (
    "import sys; sys.modules.update(dict.fromkeys({modules!r})); sys.executable = '/nowhere/python'; "
    "from lora_drop.cli.main import main; main()"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(  # noqa: S603  # our own words
        [tools.uv(), "build", "--quiet", "--wheel", "--out-dir", target, tools.ROOT], check=True
    )
    [file] = target.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel's files lie, as in site-packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_skill_is_in_the_wheel(installed: Path) -> None:
    assert (
        (installed / "lora_drop" / "cli" / "SKILL.md")
        .read_text()
        .startswith("---\nname: lora-drop\n")
    )


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with nothing in it, where the command is run."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def python(
    installed: Path, folder: Path, code: str, *words: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run this code with the wheel's package, in this folder."""
    own = {
        "PYTHONPATH": str(installed),
        "XDG_DATA_HOME": str(folder.parent / "data"),
        "PATH": "/bin",
    }
    kept = {
        name: value for name, value in os.environ.items() if name not in (tools.HOME, "FAL_KEY")
    }
    return subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**kept, **own, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_is_one_package(installed: Path) -> None:
    [package, metadata] = sorted(folder.name for folder in installed.iterdir())
    files = {
        file.relative_to(installed / package).as_posix()
        for file in installed.rglob("*.*")
        if file.is_relative_to(installed / package)
    }

    assert (package, metadata) == (
        "lora_drop",
        f"lora_drop-{metadata.split('-')[1].removesuffix('.dist')}.dist-info",
    )
    assert {"py.typed", "deployment/template.yaml", "deployment/samconfig.toml"} <= files
    assert {"models/yunet.onnx", "models/sface.onnx"} <= files
    assert not any(name.startswith("dev/") or "__pycache__" in name for name in files)


def test_its_metadata_is_whole(installed: Path) -> None:
    [file] = installed.glob("*.dist-info/METADATA")
    metadata: Message = Parser().parsestr(file.read_text())

    assert metadata["Requires-Python"] == ">=3.12"
    assert metadata["License-Expression"] == "MIT AND Apache-2.0"
    models = "shared/lora_drop/models"
    assert metadata.get_all("License-File") == [
        *("LICENSE", f"{models}/sface.LICENSE.txt", f"{models}/yunet.LICENSE.txt")
    ]
    assert metadata.get_all("Provides-Extra") == ["faces", "local", "ui"]
    assert metadata["Keywords"]
    assert metadata["Project-URL"]
    assert len(metadata.get_all("Classifier", [])) > 5
    required = metadata.get_all("Requires-Dist", [])
    base = {re.split(r"[^\w-]", each)[0] for each in required if "extra ==" not in each}
    assert base == {
        *(
            "boto3",
            "fal-client",
            "httpx",
            "numpy",
            "pillow",
            "pillow-heif",
            "platformdirs",
            "pydantic",
            "pynacl",
            "rich",
        ),
        *("simplejpeg", "typer"),
    }


@pytest.mark.promise("it can be operated")
def test_sam_gets_the_checkouts_files(installed: Path, empty: Path, root: Path) -> None:
    """An installed wheel lays out the same project for SAM as the checkout has, of what ships alone."""
    code = "from lora_drop.local.tools import project_folder; print(project_folder())"

    first, second = (python(installed, empty, code).stdout.strip() for _ in range(2))

    assert first == second
    assert Path(first).is_relative_to(empty.parent / "data")
    assert list(empty.iterdir()) == []
    names = {
        file.relative_to(first).as_posix() for file in Path(first).rglob("*") if file.is_file()
    }
    assert {"template.yaml", "samconfig.toml", "functions/Makefile"} <= names
    assert {"functions/submit/requirements.txt", "shared/lora_drop/bootstrap/base.py"} <= names
    assert not [
        name
        for name in names
        if re.match(
            r"shared/lora_drop/(cli|client|dev|local|deployment|simulator|ui|__main__)", name
        )
    ]
    for name in names:
        assert (Path(first) / name).read_bytes() == (root / name).read_bytes()


def test_state_lies_where_it_is_asked_for(installed: Path, empty: Path) -> None:
    code = "from lora_drop.local.tools import state_folder; print(state_folder())"
    asked = python(installed, empty, code, **{tools.HOME: "/somewhere"})
    assert asked.stdout.strip() == "/somewhere"


@pytest.mark.parametrize("words", NEEDS_EXTRA, ids=" ".join)
def test_a_missing_extra_is_named(installed: Path, empty: Path, words: list[str]) -> None:
    code = BASE_ONLY.format(modules=tools.EXTRA_MODULES)
    done = python(installed, empty, code, *words, AWS_REGION="eu-central-1")
    assert done.returncode == 1
    assert " ".join(done.stderr.split()).endswith(tools.NEEDS_EXTRA)
    assert "Traceback" not in done.stderr


def test_a_missing_page_is_named(installed: Path, empty: Path) -> None:
    code = BASE_ONLY.format(modules=tools.UI_MODULES)
    done = python(installed, empty, code, "ui", "--direct", FAL_KEY="key:secret")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{tools.NEEDS_UI}\n")
    assert python(installed, empty, code, "ui", "--help").stdout.startswith("Usage: lora-drop ui")


def test_the_page_travels(installed: Path, root: Path) -> None:
    """What a browser loads is in the wheel: templates, style, script, and kept parts with their licences."""

    def files(folder: Path) -> dict[str, bytes]:
        found = (each for each in folder.rglob("*") if each.is_file() and each.suffix != ".pyc")
        return {each.relative_to(folder).as_posix(): each.read_bytes() for each in found}

    page = files(installed / "lora_drop" / "ui")
    assert page == files(root / "shared" / "lora_drop" / "ui")
    assert {
        "templates/base.html",
        "static/page.js",
        "static/vendor/pico-LICENSE.txt",
    } <= page.keys()


def test_the_base_checks_a_dataset(installed: Path, empty: Path) -> None:
    (empty / "photos.zip").write_bytes(phone_dataset())
    code = BASE_ONLY.format(modules=tools.EXTRA_MODULES)
    done = python(installed, empty, code, "check", "photos.zip")
    assert done.returncode == 0, done.stderr
    assert "photos.zip: accepted" in done.stdout


@pytest.mark.proof
@pytest.mark.promise("interfaces stay")
def test_types_of_the_wheel_are_whole(installed: Path, empty: Path, root: Path) -> None:
    """A strict type checker finds nothing to say of a program that uses every public name, and no Any."""
    program = (root / "tests" / "client" / "consumer.py").read_text()
    (empty / "consumer.py").write_text(program)
    wrong = program.replace("steps=1500", "steps='1500'").replace("job.retry_of", "job.retried")
    (empty / "wrong.py").write_text(f"{wrong}\nlora_drop.LoraDrips()\n")

    def looked_at(name: str) -> tuple[int, set[str]]:
        words = ["--strict", "--disallow-any-expr", "--follow-imports=silent", name]
        done = subprocess.run(  # noqa: S603  # our own words
            [sys.executable, "-m", "mypy", *words],
            cwd=empty,
            env={**os.environ, "MYPYPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.findall(r"^.*: error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
        return done.returncode, set(found)

    assert looked_at("consumer.py") == (0, set())
    # What is not there is an Any, which is noticed as well.
    assert looked_at("wrong.py") == (1, {"arg-type", "attr-defined", "misc"})


def test_consumer_uses_every_public_name(root: Path) -> None:
    program = (root / "tests" / "client" / "consumer.py").read_text()
    used = set(re.findall(r"lora_drop\.(\w+)", program)) | {"webhooks"}
    assert used >= set(lora_drop.__all__)


def test_the_makefile_leaves_the_same_behind(root: Path) -> None:
    text = (root / "functions" / "Makefile").read_text()
    [listed] = re.findall(r"filter-out ([^,]+),", text)
    # The models lie in the project, since submit ships them.
    assert sorted(listed.split()) == sorted((*tools.NOT_SHIPPED, "models"))


HEAVY = {"PIL", "aiohttp", "boto3", "botocore", "httpx", "pydantic", "rich.console", "yaml"}
LOADED = "import sys; print(*sys.modules, file=sys.stderr)"
RUN = f"import atexit; atexit.register(lambda: exec({LOADED!r})); from lora_drop.cli.main import main; main()"


def loaded_by(code: str, *words: str) -> set[str]:
    """The modules that a program has imported when it ends."""
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in main.COMMANDS)]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    """The help of every command is there at once: it imports no client of AWS and no models."""
    loaded = loaded_by(RUN, *words)
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_a_local_check_imports_no_client_of_aws() -> None:
    """A dataset on this machine is checked without what only a stack needs, which takes half a second to import."""
    loaded = loaded_by(RUN, "check", "--no-faces", str(SAMPLE))
    assert "PIL" in loaded
    assert not loaded & {"boto3", "botocore", "httpx", "aiohttp"}


def test_the_package_imports_nothing() -> None:
    code = f"import sys; before = set(sys.modules); import lora_drop; {LOADED.replace('*sys.modules', '*set(sys.modules) - before')}"
    assert loaded_by(code) == {"lora_drop"}


def test_public_names_are_there() -> None:
    code = (
        "import lora_drop, sys; [getattr(lora_drop, name) for name in lora_drop.__all__]; " + LOADED
    )
    assert "lora_drop.client.stack_client" in loaded_by(code)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_listed_help_is_the_docstrings(name: str) -> None:
    assert main.command_of(name).help.split("\n\n")[0] == main.COMMANDS[name][1]


def test_copied_names_are_those_of_the_tables() -> None:
    assert get_args(terminal.StatusName) == tuple(Status)
    assert tuple(PRESETS) == terminal.PRESETS
    assert DEFAULT.short_name == terminal.DEFAULT_TRAINER
