# ruff: noqa: RUF001, FBT001
"""Code pages that nothing names: captions, names in ZIPs, and what else is read as people write it."""

import pytest

from lora_drop.datasets.caption_sources import captions_elsewhere
from lora_drop.datasets.caption_text import read_captions
from lora_drop.datasets.code_pages import guess
from lora_drop.datasets.parameter_layers import metadata_layer, training_json_layer
from tests.support.builders import make_archive, make_jpeg
from tests.support.checking import checked, warnings

RUSSIAN = "женщина с короткими волосами, синее платье"
JAPANESE = "短い髪の女性、青いドレス、庭で笑っている"


@pytest.mark.parametrize(
    ("text", "encoding", "console"),
    [
        (RUSSIAN, "cp1251", False),
        (RUSSIAN, "koi8_r", False),
        (RUSSIAN, "cp866", True),
        ("kobieta w sukience, uśmiech, krótkie włosy", "cp1250", False),
        ("žena s krátkými vlasy, úsměv, modré šaty", "cp1250", False),
        ("kobieta, uśmiech, krótkie włosy, łąka", "cp852", True),
        ("une femme près d’une fenêtre, café, été", "cp1252", False),
        ("eine Frau mit grünem Kleid, draußen", "cp850", True),
        ("kısa saçlı kadın, gülümsüyor, bahçede ışık", "cp1254", False),
        ("γυναίκα με κοντά μαλλιά, μπλε φόρεμα", "cp737", True),
        ("אישה עם שיער קצר, שמלה כחולה", "cp862", True),
        ("امرأة ذات شعر قصير وفستان أزرق", "cp1256", False),
        ("一个短发女人,穿着蓝色连衣裙,在花园里微笑", "gb18030", False),
        ("一個短髮女人,穿著藍色連衣裙,在花園裡微笑", "cp950", True),
        (JAPANESE, "cp932", True),
        (JAPANESE, "euc_jp", False),
        ("짧은 머리의 여자, 파란 드레스, 정원에서 미소", "cp949", False),
    ],
)
def test_code_page_is_guessed(text: str, encoding: str, console: bool) -> None:
    """A text that does not say its code page is read in the one that its language was written with."""
    samples = [f"{text} {number}".encode(encoding) for number in range(10)]
    found = guess(samples, console=console)
    assert found is not None
    assert [sample.decode(found.encoding) for sample in samples] == [
        f"{text} {number}" for number in range(10)
    ]


@pytest.mark.parametrize(
    ("data", "text", "guessed", "stray"),
    [
        (f"{RUSSIAN} \xff".encode(), f"{RUSSIAN} \xff", False, False),
        (RUSSIAN.encode() + b"\xff", RUSSIAN, False, True),
        ("caf\xe9 au lait".encode()[:5] + b" \x92", "café ", False, True),
        (RUSSIAN.encode("cp1251"), RUSSIAN, True, False),
        (RUSSIAN.encode("utf-16-le"), RUSSIAN, False, False),
        (b"garden\x0bblue", "garden\nblue", False, False),
        ("garden\u2028blue\x85sky".encode(), "garden\nblue\nsky", False, False),
        ("garden\x0b\x0cblue".encode("utf-16"), "garden\n\nblue", False, False),
    ],
)
def test_what_is_sure_is_kept(data: bytes, text: str, guessed: bool, stray: bool) -> None:
    """What is sure of a caption is kept, and what is guessed is marked."""
    [caption] = read_captions({"a.txt": data}).values()
    assert (caption.text, bool(caption.guessed), caption.stray) == (text, guessed, stray)


@pytest.mark.parametrize(
    ("short", "long", "encoding"),
    [
        ("сад", RUSSIAN, "cp1251"),
        ("ząb", "kobieta w sukience, uśmiech, krótkie włosy", "cp1250"),
        ("庭", JAPANESE, "cp932"),
    ],
)
def test_captions_are_guessed_together(short: str, long: str, encoding: str) -> None:
    """A caption too short to show its code page is read in that of the others."""
    files = {f"{number}.txt": text.encode(encoding) for number, text in enumerate((short, long))}
    assert [each.text for each in read_captions(files).values()] == [short, long]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (
            "metadata.jsonl",
            b'{"file_name": "a.jpg", "text": "ada"}\n{"file_name": "x.jpg", "text": "x"}',
        ),
        ("metadata.csv", b"file_name,text\na.jpg,ada\n"),
        ("captions.csv", b"caption;image_file\r\nada;a.jpg\r\n"),
        ("a.json", b'{"caption": "ada"}'),
        ("a.jpg.json", b'{"prompt": "ada"}'),
        ("meta_cap.json", b'{"a": {"caption": "ada"}, "x": {"caption": "x"}}'),
    ],
)
def test_captions_are_found_elsewhere(name: str, data: bytes) -> None:
    """Captions in one file for all photos, or in a JSON of each, are those of the photos."""
    found = captions_elsewhere({name: data}, ["a.jpg", "b.jpg"])
    assert {photo: (each.text, each.origin) for photo, each in found.items()} == {
        "a.jpg": ("ada", name)
    }


def test_kohya_folder_is_a_caption() -> None:
    """The name of kohya's folder is the caption of each photo in it that has no other."""
    named = {
        "img/20_ohwx person/a.jpg": "ohwx person",
        "5_anya/b.png": "anya",
        "t/100_sks man/c.JPG": "sks man",
    }
    photos = [*named, "2024_summer/b.jpg", "01_beach/c.jpg"]
    assert {photo: each.text for photo, each in captions_elsewhere({}, photos).items()} == named


@pytest.mark.parametrize(
    ("caption", "codes", "phrase"),
    [
        ("ohwx person in a garden", ["caption_trigger_untrained"], None),
        ("{trigger} in a garden", ["caption_trigger_unlike", "caption_trigger_untrained"], None),
        ("<trigger> smiles", ["caption_trigger_unlike", "caption_trigger_untrained"], None),
        ("[ trigger ] smiles", ["caption_trigger_unlike", "caption_trigger_untrained"], None),
        ("[name] smiles", ["caption_trigger_unlike", "caption_trigger_untrained"], None),
        ("[trigger] smiles", [], "TOK_01234567"),
    ],
)
def test_an_untrained_phrase_is_not_announced(
    caption: str, codes: list[str], phrase: str | None
) -> None:
    """A phrase that no caption has is not announced, and what looks like [trigger] is named."""
    members = {f"photo-{n:02}.txt": f"{caption} {n}".encode() for n in range(12)}
    archive = make_archive(members=members)
    found = {each.name: each.value for each in checked(archive).report.parameters}
    assert warnings(archive) == codes
    assert found.get("trigger_phrase") == phrase


def test_a_word_in_all_captions_is_proposed() -> None:
    """A word that stands in all captions is proposed, and with it as the phrase all is well."""
    members = {f"photo-{n:02}.txt": f"a photo of ohwx, {n}".encode() for n in range(12)}
    report = checked(make_archive(members=members)).report
    assert any("trigger_phrase=ohwx" in each.message for each in report.warnings)
    assert warnings(make_archive(members=members), metadata={"trigger_phrase": "ohwx"}) == []


def test_texts_of_no_photo_refuse_nothing() -> None:
    """A text that belongs to no photo is a warning, however long or unreadable."""
    chat = ("[01.05.24, 10:11:12] Anna: \u200eimage omitted\n" * 900).encode()
    members = {"readme.txt": b"x" * 40_000, "licence.txt": b"\x00\x01\x02", "_chat.txt": chat}
    assert warnings(make_archive(members=members)) == ["caption_orphan"] * 3


def test_backups_are_left_out() -> None:
    """exiftool's backup of a photo is left out where the photo lies beside it."""
    members = {"photo-00.jpg_original": make_jpeg(50), "own.jpg_original": make_jpeg(51)}
    assert checked(make_archive(members=members)).report.images == 13


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("=?UTF-8?B?Wm/Dqw==?=", "Zoë"),
        ("=?UTF-8?Q?Zo=C3=AB?=", "Zoë"),
        ("=?UTF-8?B?0JDQvdC90LA=?=", "Анна"),
        ("a=?b", "a=?b"),
    ],
)
def test_metadata_is_decoded(value: str, meant: str) -> None:
    """Metadata that S3 returns as words of RFC 2047 is what was written."""
    assert metadata_layer({"trigger-phrase": value}, []).given == {"trigger_phrase": meant}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_training_json_in_any_unicode(encoding: str) -> None:
    """training.json is read in every Unicode encoding that editors and PowerShell write."""
    problems: list[object] = []
    layer = training_json_layer('{"steps": 1500}'.encode(encoding), problems)  # type: ignore[arg-type]
    assert (layer.given, problems) == ({"steps": 1500}, [])
