"""The library, installed from its wheel alone, against a deployed stack."""

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import lora_drop
from lora_drop.local import tools
from lora_drop.local.stack import HOME, SAMPLE
from tests.e2e.conftest import Deployed

pytestmark = [pytest.mark.stack, pytest.mark.proof]

EXAMPLE = re.compile(r"<!-- example.*?-->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that has the wheel and what it requires, and nothing else."""
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    uv("build", "--wheel", "--out-dir", tmp_path / "dist", tools.ROOT)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    uv("venv", "--python", sys.executable, environment)
    uv("pip", "install", "--python", python, wheel)
    return python


def uv(*words: str | Path) -> None:
    subprocess.run([tools.uv(), "--quiet", *words], check=True)  # noqa: S603  # our own words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with photos in it."""
    folder = tmp_path / "work"
    with zipfile.ZipFile(SAMPLE) as archive:
        archive.extractall(folder / "photos")
    (folder / "photos" / "training.json").unlink()
    return folder


@pytest.mark.promise("interfaces stay")
def test_examples_run_from_the_wheel(
    stack: Deployed, python: Path, folder: Path, root: Path
) -> None:
    """The five lines of the README, run where only the wheel is installed, bring a LoRA to a folder; so do those of the docs."""
    [five_lines] = EXAMPLE.findall((root / "README.md").read_text())
    [more] = EXAMPLE.findall((root / "docs" / "developers.md").read_text())

    lines = run(python, five_lines, folder, stack).splitlines()
    assert lines[-2].startswith("Ended(status=<Status.SUCCEEDED")
    assert lines[-1] == "SUCCEEDED"
    assert any(line.startswith("Training(") and "percent=100.0" in line for line in lines)
    [stored] = folder.glob("loras/*/lora.safetensors")
    lora = stored.read_bytes()
    assert hashlib.sha256(lora).hexdigest() in "".join(lines)

    run(python, more, folder, stack)
    assert (folder / "loras" / "ada" / "lora.safetensors").is_file()


def run(python: Path, code: str, folder: Path, stack: Deployed) -> str:
    """What a program prints that ends well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603  # our own words
        [python, "-c", code],
        cwd=folder,
        env={**kept, HOME: str(stack.local.state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_asyncio_trains_the_same(
    stack: Deployed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For asyncio it is the same, the same content is not paid for twice, and a job goes by its reference."""
    monkeypatch.setenv(HOME, str(stack.local.state))

    async def trained() -> tuple[lora_drop.AsyncJob, list[str], int]:
        async with lora_drop.AsyncLoraDrop("local") as drop:
            photos = (folder / "photos").iterdir()
            data = folder / "ada.zip"
            with zipfile.ZipFile(data, "w") as archive:
                for photo in photos:
                    archive.write(photo, photo.name)
            first, second = [
                await drop.train(
                    data.read_bytes(), reference="user-7", trigger_phrase="ada", steps=1100
                )
                for _ in range(2)
            ]
            done = await (await first.wait(120)).result()
            await second.result(120)
            paths = await done.download(folder / "loras")
            found = [job.id async for job in drop.jobs(reference="user-7")]
            assert {first.id, second.id} == set(found)
            return await first.refresh(), [path.name for path in paths], len(await first.files())

    job, names, files = asyncio.run(trained())
    assert {"lora.safetensors", "config.json", "job.json"} <= set(names)
    assert (job.reference, job.status, files) == ("user-7", lora_drop.Status.SUCCEEDED, 2)
    posts = stack.simulator.ledger()["submissions"]
    assert len([post for post in posts if post["arguments"]["steps"] == 1100]) == 1
