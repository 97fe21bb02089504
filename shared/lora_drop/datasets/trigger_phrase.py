"""Whether the captions train the trigger phrase, and which word they train instead.

fal's portrait trainer puts the phrase in place of ``[trigger]`` and uses it in no other way once a photo has
a caption ("If captions are provided, the trigger word will not be used", the trainer's schema).
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from lora_drop.datasets.captions import MEANT, TRIGGER
from lora_drop.fal.trainers.demands import first_names
from lora_drop.jobs.problems import Problem

# What people write where fal's trainers read [trigger] alone: other brackets, spaces, other words in them.
MISSPELT = re.compile(
    r"\{\s*trigger(?:[_ ]?word|[_ ]?phrase)?\s*\}|<\s*trigger(?:[_ ]?word|[_ ]?phrase)?\s*>"
    r"|\[\s+trigger\s*\]|\[trigger\s+\]|\[\s*trigger[_ ](?:word|phrase)\s*\]|\[\s*(?:name|token|subject|person)\s*\]",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W_][\w'’-]*")  # noqa: RUF001  # the apostrophe of an editor
# Words that stand in every caption of many datasets and name no person.
ORDINARY = frozenset(
    """
    a about an and another are as at background beautiful black blonde blue brown by camera close
    close-up closeup dark dress eyes face female for from front full girl boy guy lady hair half
    having he head headshot her his holding image in indoor indoors inside into is it its kid
    lighting long looking male man middle-aged men natural near no of old on one or outdoor outdoors
    outside over people person photo photograph photography picture portrait posing professional red she
    shirt short shot sitting smile smiling someone standing studio subject that the their this to two under
    up viewer wearing white with woman women young
    """.split()  # noqa: SIM905  # a paragraph reads better
)
PROPOSED = 3


def trigger_warnings(texts: Mapping[str, str], phrase: str) -> Iterator[Problem]:
    """Yield what the captions say of the trigger phrase; ``texts`` are captions by their photos' names.

    ``phrase`` empty: none was given.
    """
    said = {name: text for name, text in texts.items() if text.strip()}
    yield from _misspelt(said)
    holding = [name for name, text in said.items() if _holds(text, phrase)]
    if not said or len(holding) == len(said):
        return
    if holding:
        yield _partly(said, holding, phrase)
    elif not any(MISSPELT.search(text) for text in said.values()):
        yield _nowhere(said, phrase)


def trains_phrase(texts: Mapping[str, str], photos: Sequence[str]) -> bool:
    """Return whether a phrase that is made up for the job would be trained: by a caption, or by a photo without one."""
    return any(MEANT.search(texts.get(name, "")) or not texts.get(name) for name in photos)


def words_of_all(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the words that stand in all captions and name no ordinary thing, as the first caption writes them."""
    found = [WORD.findall(text) for text in texts]
    if len(found) < 2:  # noqa: PLR2004  # one caption has every word of its own
        return ()
    shared = set.intersection(*({word.casefold() for word in words} for words in found))
    first = dict.fromkeys(
        word
        for word in found[0]
        if word.casefold() in shared - ORDINARY and not word.isdigit() and len(word) > 1
    )
    return tuple(first)[:PROPOSED]


def _holds(text: str, phrase: str) -> bool:
    if MEANT.search(text):
        return True
    if not phrase:
        return False
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE) is not None


def _misspelt(texts: Mapping[str, str]) -> Iterator[Problem]:
    names = [name for name, text in texts.items() if MISSPELT.search(text)]
    if names:
        match = MISSPELT.search(texts[names[0]])
        written = match[0] if match else ""
        yield Problem(
            code="caption_trigger_misspelt",
            message=f"{_count(len(names))} ({first_names(names)}) “{written}”, which would be trained "
            f"letter by letter. Did you mean {TRIGGER}? That alone is replaced by the trigger phrase.",
        )


def _count(number: int) -> str:
    return "The caption of 1 photo says" if number == 1 else f"The captions of {number} photos say"


def _partly(texts: Mapping[str, str], holding: Sequence[str], phrase: str) -> Problem:
    wanted = f"{TRIGGER} or “{phrase}”" if phrase else TRIGGER
    bare = [name for name in texts if name not in holding]
    return Problem(
        code="caption_trigger_absent",
        message=f"{len(holding)} of {len(texts)} captions hold {wanted}; the trigger phrase is not "
        f"trained with the others ({first_names(bare)}). Write {TRIGGER} into each.",
    )


def _nowhere(texts: Mapping[str, str], phrase: str) -> Problem:
    wanted = f"{TRIGGER} or “{phrase}”" if phrase else TRIGGER
    words = words_of_all([*texts.values()])
    stands = " and ".join(f"“{word}”" for word in words)
    instead = (
        f" {stands} {'stands' if len(words) == 1 else 'stand'} in all of them: is that your trigger phrase? "
        f"Then give it (--trigger {words[0]}), and use it in prompts."
        if words
        else f" Write {TRIGGER} into each caption, where the person's name would stand."
    )
    return Problem(
        code="caption_trigger_absent",
        message=f"None of the {len(texts)} captions holds {wanted}, so no trigger phrase is trained.{instead}",
    )
