"""What a model says became of each word of a question, and whether that is so.

A word that carries meaning and became nothing is how an answer goes silently wrong: filters that
were left out, most of all.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from stepwell.nldb.link.words import CARRIES_NOTHING, singular, words_of
from stepwell.nldb.plan.parts import Parts

NOTHING: Final = "nothing"
"""What a word became that only makes the sentence."""


class Covered(Struct, frozen=True):
    """A word of the question, and what it became."""

    word: str
    use: str


def uncovered(question: str, covered: Iterable[Covered]) -> tuple[str, ...]:
    """The words of the question that carry meaning and that the model says nothing of."""
    said = {singular(word) for one in covered if one.use.strip() for word in words_of(one.word)}
    missing = (
        word
        for word in words_of(question)
        if singular(word) not in CARRIES_NOTHING and singular(word) not in said
    )
    return tuple(dict.fromkeys(missing))


def misplaced(covered: Iterable[Covered], parts: Parts) -> tuple[str, ...]:
    """The words that are said to have become something that is in no part of the plan."""
    return tuple(one.word for one in covered if not _is_nothing(one) and not _is_there(one, parts))


def assumed(question: str, covered: Iterable[Covered], parts: Parts) -> tuple[str, ...]:
    """The words that are called otherwise in the plan, each with what it was taken as."""
    asked = {singular(word) for word in words_of(question)}
    said: list[str] = []
    for one in covered:
        words = {singular(word) for word in words_of(one.word)}
        if not words or not words <= asked or words <= CARRIES_NOTHING:
            continue
        found = _mentioned(one.use, parts.names | parts.values)
        same = {singular(word) for name in found for word in words_of(name)}
        if _is_nothing(one):
            said.append(f"{one.word!r} is passed over")
        elif found and not words <= same:
            said.append(f"{one.word!r} is taken as {', '.join(found)}")
    return tuple(dict.fromkeys(said))


def _is_nothing(one: Covered) -> bool:
    return one.use.strip().lower() in ("", NOTHING)


def _is_there(one: Covered, parts: Parts) -> bool:
    return bool(_mentioned(one.use, parts.names | parts.values | parts.operations))


def _mentioned(use: str, parts: Iterable[str]) -> tuple[str, ...]:
    """The parts that a text names, each where it is not within a longer one, in their order."""
    text = use.lower()
    found: dict[int, str] = {}
    for part in sorted(parts, key=lambda part: (-len(part), part)):
        said = part.lower()
        place = said in text and re.search(rf"(?<!\w){re.escape(said)}(?!\w)", text)
        if place:
            found[place.start()] = part
            text = text[: place.start()] + " " * len(place.group()) + text[place.end() :]
    return tuple(part for _, part in sorted(found.items()))
