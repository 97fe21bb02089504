from typing import Any

import pytest

from shared.domain.artifacts import MAX_FILE_NAME, RESERVED_NAMES, Artifact, artifacts_in

URL = "https://v3.fal.media/files/a/b"


def names_in(payload: dict[str, Any]) -> list[str]:
    return [artifact.name for artifact in artifacts_in(payload)]


def test_the_trainers_two_files_have_names_of_their_own() -> None:
    payload = {
        "diffusers_lora_file": {
            "url": URL,
            "content_type": "application/octet-stream",
            "file_name": "pytorch_lora_weights.safetensors",
            "file_size": 89745224,
        },
        "config_file": {"url": URL},
    }

    assert artifacts_in(payload) == (
        Artifact(
            name="lora.safetensors",
            url=URL,
            content_type="application/octet-stream",
            size=89745224,
        ),
        Artifact(name="config.json", url=URL),
    )


def test_a_lora_by_another_trainers_name_has_the_same_name_here() -> None:
    assert names_in({"lora_file": {"url": URL, "file_name": "x.bin"}}) == ["lora.safetensors"]
    both = {"diffusers_lora_file": {"url": URL}, "lora_file": {"url": URL, "file_name": "x.bin"}}
    assert names_in(both) == ["lora.safetensors", "x.bin"]


def test_other_files_keep_the_names_fal_gives_them() -> None:
    assert names_in({"debug": {"url": URL, "file_name": "debug.zip"}}) == ["debug.zip"]
    assert names_in({"debug": {"url": URL}}) == ["debug"]


def test_a_list_of_files_is_kept_whole() -> None:
    images = [{"url": URL, "file_name": "a.png"}, {"url": URL, "file_name": "a.png"}]

    assert names_in({"images": images}) == ["a.png", "2-a.png"]


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_no_output_takes_a_name_that_the_job_writes_itself(name: str) -> None:
    assert names_in({"debug": {"url": URL, "file_name": name}}) == [f"2-{name}"]


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a/b/c.txt", "c.txt"),
        ("C:\\Windows\\x.txt", "x.txt"),
        ("..", "file"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("a\x00b\nc.txt", "a-b-c.txt"),
        ("\u5199\u771f.zip", "zip"),
        ("\u5199\u771f", "file"),
        ("a b.txt", "a-b.txt"),
        ("/", "file"),
        ("x" * 500 + ".txt", "x" * (MAX_FILE_NAME - 4) + ".txt"),
    ],
)
def test_a_name_from_outside_is_never_a_path(offered: str, kept: str) -> None:
    assert names_in({"debug": {"url": URL, "file_name": offered}}) == [kept]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"seed": 17454220438242315174},
        {"text": URL},
        {"file": {"url": 7}},
        {"file": {"link": URL}},
        {"file": None},
        {"files": [None, 7, "x", []]},
    ],
)
def test_what_is_no_file_is_left_out(payload: dict[str, Any]) -> None:
    assert artifacts_in(payload) == ()


@pytest.mark.parametrize("size", [None, -1, "9", 1.5, [9]])
def test_a_size_that_is_none_is_not_believed(size: object) -> None:
    [artifact] = artifacts_in({"debug": {"url": URL, "file_size": size}})

    assert artifact.size is None


@pytest.mark.parametrize("kind", [None, 7, ["text/html"]])
def test_a_content_type_that_is_none_is_not_believed(kind: object) -> None:
    [artifact] = artifacts_in({"debug": {"url": URL, "content_type": kind}})

    assert artifact.content_type is None
