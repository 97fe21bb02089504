from typing import Any

import pytest

from lora_drop.jobs.artifacts import (
    MAX_FILE_NAME,
    MAX_FILES,
    MAX_URL,
    RESERVED_NAMES,
    Artifact,
    artifacts_in,
)

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
    assert names_in({"lora_file": {"url": URL, "file_name": "x.safetensors"}}) == [
        "lora.safetensors"
    ]
    both = {
        "diffusers_lora_file": {"url": URL},
        "lora_file": {"url": URL, "file_name": "x.safetensors"},
    }
    assert names_in(both) == ["lora.safetensors", "x.safetensors"]


def test_other_files_keep_the_names_fal_gives_them() -> None:
    assert names_in({"more": {"url": URL, "file_name": "more.json"}}) == ["more.json"]
    assert names_in({"more": {"url": URL, "content_type": "application/json"}}) == ["more"]


@pytest.mark.parametrize(
    "file_name",
    ["debug.zip", "a.png", "x.bin", "x.ckpt", "x.pt", "x.pkl", "x.safetensors.exe", "x"],
)
def test_what_cannot_be_looked_into_is_left_out(file_name: str) -> None:
    assert names_in({"debug": {"url": URL, "file_name": file_name}}) == []
    assert names_in({"debug": {"url": URL, "file_name": file_name}, "lora_file": {"url": URL}}) == [
        "lora.safetensors"
    ]


def test_a_result_with_more_files_than_any_has_keeps_the_trainers_own() -> None:
    many = [{"url": URL, "file_name": f"{n}.json"} for n in range(10_000)]

    names = names_in({"a": many, "config_file": {"url": URL}, "lora_file": {"url": URL}})

    assert len(names) == MAX_FILES
    assert names[:2] == ["config.json", "lora.safetensors"]


@pytest.mark.parametrize(("length", "kept"), [(MAX_URL, 1), (MAX_URL + 1, 0)])
def test_an_address_longer_than_any_is_none(length: int, kept: int) -> None:
    assert len(names_in({"lora_file": {"url": URL.ljust(length, "x")}})) == kept


def test_a_list_of_files_is_kept_whole() -> None:
    images = [{"url": URL, "file_name": "a.json"}, {"url": URL, "file_name": "a.json"}]

    assert names_in({"images": images}) == ["a.json", "2-a.json"]


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_no_output_takes_a_name_that_the_job_writes_itself(name: str) -> None:
    file = {"url": URL, "file_name": name, "content_type": "application/json"}

    assert names_in({"debug": file}) == [f"2-{name}"]


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
    file = {"url": URL, "file_name": offered, "content_type": "application/json"}

    assert names_in({"debug": file}) == [kept]


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


@pytest.mark.parametrize("size", [None, -1, "9", 1.5, [9], True, 10**4000])
def test_a_size_that_is_none_is_not_believed(size: object) -> None:
    [artifact] = artifacts_in({"lora_file": {"url": URL, "file_size": size}})

    assert artifact.size is None


@pytest.mark.parametrize("kind", [None, 7, ["text/html"]])
def test_a_content_type_that_is_none_is_not_believed(kind: object) -> None:
    [artifact] = artifacts_in({"lora_file": {"url": URL, "content_type": kind}})

    assert artifact.content_type is None
