"""Whether the trigger phrase is trained: in how many captions it stands, and what looks like it and is not."""

import re
from collections.abc import Iterator, Mapping, Sequence

from lora_drop.datasets.captions import MEANT, TRIGGER
from lora_drop.datasets.parameters import ResolvedParameters
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.problems import Problem

# The code of a phrase that no caption has.
UNTRAINED = "caption_trigger_untrained"
# What templates of other tools have in its place; in brackets of any kind.
PLACEHOLDER = re.compile(
    r"[\[{<(]{1,2}\s*(?:trigger(?:[ _-]?(?:word|phrase))?|name|token|instance|subject)\s*[\]}>)]{1,2}",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W_][\w-]*")
# Words that stand in every caption and name no person.
COMMON = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "with",
        "and",
        "to",
        "is",
        "her",
        "his",
        "she",
        "he",
        "by",
        "for",
        "from",
        "photo",
        "photograph",
        "picture",
        "image",
        "portrait",
        "person",
        "man",
        "woman",
        "girl",
        "boy",
        "people",
        "wearing",
        "looking",
        "trigger",
    ]
)


def stands_in(text: str, phrase: str) -> bool:
    """Return whether a caption has the phrase, or ``[trigger]`` in its place."""
    own = re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.IGNORECASE)
    return bool(MEANT.search(text) or (phrase and own.search(text)))


def is_trained(phrase: str, texts: Mapping[str, str], photos: Sequence[str]) -> bool:
    """Return whether a trainer sees the phrase: a photo without a caption is trained on with it alone."""
    bare = any(photo not in texts for photo in photos)
    return bare or any(stands_in(text, phrase) for text in texts.values())


def is_made_up(resolved: ResolvedParameters) -> bool:
    """Return whether the trigger phrase was made up for the job."""
    return resolved.sources.get(TRIGGER_PHRASE) is ParameterSource.GENERATED


def with_trained_phrase(
    resolved: ResolvedParameters, texts: Mapping[str, str], photos: Sequence[str]
) -> ResolvedParameters:
    """Return the parameters without a phrase that was made up and would not be trained."""
    phrase = resolved.values.trigger_phrase
    made = is_made_up(resolved)
    if not made or not phrase or not photos or is_trained(phrase, texts, photos):
        return resolved
    values = {
        name: value for name, value in resolved.values.values.items() if name != TRIGGER_PHRASE
    }
    sources = {name: source for name, source in resolved.sources.items() if name != TRIGGER_PHRASE}
    parameters = type(resolved.values)(trainer=resolved.values.trainer, **values)
    return resolved.model_copy(update={"values": parameters, "sources": sources})


def phrase_warnings(
    phrase: str, texts: Mapping[str, str], photos: Sequence[str], *, made: bool
) -> Iterator[Problem]:
    """Yield what is not as it was meant about the trigger phrase; ``made``: lora-drop made it up."""
    if not texts:
        return
    unlike = {name: PLACEHOLDER.findall(text) for name, text in texts.items()}
    unlike = {
        name: each
        for name, found in unlike.items()
        if (each := [x for x in found if x.lower() != TRIGGER])
    }
    if unlike:
        name, found = next(iter(unlike.items()))
        yield Problem(
            code="caption_trigger_unlike",
            message=f"{len(unlike)} of {len(texts)} captions say {found[0]}, which is trained as it is "
            f"written; did you mean {TRIGGER}?",
            member=name,
        )
    holding = sum(stands_in(text, phrase) for text in texts.values())
    what = TRIGGER if made else f"{TRIGGER} or “{phrase}”"
    if not holding and not is_trained(phrase, texts, photos):
        yield Problem(
            code=UNTRAINED,
            message=f"None of the {len(texts)} captions has {what}, so no trigger phrase is trained."
            f"{_proposed(texts)}",
        )
    elif phrase and 0 < holding < len(texts):
        yield Problem(
            code="caption_trigger_partial",
            message=f"{holding} of {len(texts)} captions have {what}; the phrase is trained with those alone.",
        )


def _proposed(texts: Mapping[str, str]) -> str:
    words = [WORD.findall(PLACEHOLDER.sub(" ", text)) for text in texts.values()]
    everywhere = set.intersection(*(set(each) for each in words)) if len(words) > 1 else set()
    likely = [word for word in words[0] if word in everywhere and word.lower() not in COMMON]
    if not likely:
        return " Write [trigger] into each caption that shows the person."
    return (
        f" All of them have “{likely[0]}”: if that is the word for the person, give "
        f"trigger_phrase={likely[0]} and use it in prompts."
    )
