"""A trigger phrase is announced only where it is trained, and captions say which word they train."""

import pytest

from lora_drop.datasets.trigger_phrase import trains_phrase, trigger_warnings, words_of_all

NAMES = [f"{number}.jpg" for number in range(3)]


def warned(*texts: str, phrase: str = "TOK_12345678") -> list[tuple[str, str]]:
    captions = dict(zip(NAMES, texts, strict=True))
    return [(each.code, each.message) for each in trigger_warnings(captions, phrase)]


@pytest.mark.parametrize(
    ("texts", "phrase"),
    [
        (("[trigger] smiles", "a photo of [trigger]", "[Trigger], outdoors"), "ada"),
        (("ada smiles", "a photo of Ada", "ada, outdoors"), "ada"),
        (("", "  ", ""), "ada"),
        (("[trigger] 1", "[trigger] 2", ""), ""),
    ],
)
def test_held_phrase_warns_of_nothing(texts: tuple[str, ...], phrase: str) -> None:
    assert warned(*texts, phrase=phrase) == []


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("texts", "phrase", "words"),
    [
        (
            ("ohwx person 0", "ohwx person in a garden", "ohwx person, 2"),
            "",
            ["“ohwx”", "--trigger ohwx"],
        ),
        (("a photo of TOK", "TOK smiling", "TOK, side view"), "", ["“TOK”"]),
        (("sks man", "a sks man", "portrait of sks man"), "TOK_1", ["“sks”", "“TOK_1”"]),
        (
            ("a woman", "a woman smiling", "woman at work"),
            "ada",
            ["Write [trigger] into each caption"],
        ),
        (("женщина в окне", "женщина в саду", "женщина, фото"), "ada", ["“женщина”"]),
        (("adam smiles", "adam at home", "adam"), "ada", ["“adam”"]),
    ],
)
def test_untrained_phrase_is_named(texts: tuple[str, ...], phrase: str, words: list[str]) -> None:
    """Where no caption holds the trigger phrase it is said, and the word that all of them have is proposed."""
    [(code, message)] = warned(*texts, phrase=phrase)
    assert code == "caption_trigger_absent"
    assert "None of the 3 captions holds [trigger]" in message
    assert [word for word in words if word not in message] == []


def test_part_of_the_captions_is_counted() -> None:
    [(code, message)] = warned("[trigger] 0", "a garden", "ada 2", phrase="ada")
    assert code == "caption_trigger_absent"
    assert message.startswith("2 of 3 captions hold [trigger] or “ada”")
    assert "1.jpg" in message


@pytest.mark.parametrize(
    "written",
    ["{trigger}", "<trigger>", "[name]", "[ trigger ]", "[trigger ]", "{Trigger_Word}", "[token]"],
)
def test_other_brackets_are_explained(written: str) -> None:
    [(code, message)] = warned(f"{written} smiles", f"{written} 1", f"{written} 2")
    assert code == "caption_trigger_misspelt"
    assert f"“{written}”" in message
    assert "Did you mean [trigger]?" in message


@pytest.mark.parametrize(
    ("texts", "trained"),
    [
        (["ohwx 0", "ohwx 1", "ohwx 2"], False),
        (["ohwx 0", "[trigger] 1", "ohwx 2"], True),
        (["ohwx 0", "ohwx 1", ""], True),
        (["", "", ""], True),
    ],
)
def test_made_up_phrase_is_trained_or_not(texts: list[str], *, trained: bool) -> None:
    captions = {name: text for name, text in zip(NAMES, texts, strict=True) if text}
    assert trains_phrase(captions, NAMES) is trained


def test_ordinary_words_are_not_proposed() -> None:
    assert words_of_all(["A photo of a woman, 12", "a woman in a photo, 12"]) == ()
    assert words_of_all(["ohwx"]) == ()
    assert words_of_all(["Zoë-3 at sea", "photo of zoë-3 asleep"]) == ("Zoë-3",)
