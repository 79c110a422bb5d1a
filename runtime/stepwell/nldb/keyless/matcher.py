"""A question in, a plan out; or a question back; or why there is no answer.

The rule is that every word of the question is accounted for: it names something of the catalog,
a value, a number or a time, it says what is asked, or it is a word that carries nothing. One
word that is none of these, and there is no plan.
"""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.finish import Reading, readings
from stepwell.nldb.keyless.grammar import TooManyWays, frames
from stepwell.nldb.keyless.reader import Reader
from stepwell.nldb.keyless.rules.values import MATCHES
from stepwell.nldb.keyless.tokens import Token, tokens_of
from stepwell.nldb.keyless.units import told, unsaid
from stepwell.nldb.keyless.world import World
from stepwell.nldb.keyless.writes import VERBS, written
from stepwell.nldb.plan.model import Condition, Filter, Plan, Select, Write

MOST_CHARACTERS = 1000
MOST_TOKENS = 60
MOST_READINGS = 4


class Understood(Struct, frozen=True, tag="understood"):
    """There is one way to understand the question."""

    plan: Plan


class Ambiguous(Struct, frozen=True, tag="ambiguous"):
    """There are several. Whoever can run them may answer if all have the same answer; else ask."""

    question: str
    readings: tuple[Reading, ...]


class CannotAnswer(Struct, frozen=True, tag="cannot_answer"):
    """The question was not understood; `words` are those that could not be placed."""

    reason: str
    words: tuple[str, ...] = ()


Outcome: TypeAlias = Understood | Ambiguous | CannotAnswer


def understand(question: str, world: World) -> Outcome:
    """What a question in plain English means in this database, found without a model."""
    if refusal := _refused(question):
        return CannotAnswer(refusal)
    tokens = tokens_of(question)
    if len(tokens) > MOST_TOKENS:
        return CannotAnswer(
            f"the question is too long: it has more than {MOST_TOKENS} words; ask for one thing at a time"
        )
    reader = Reader(tokens, world)
    if (change := written(reader)) is not None:
        return _in_units(_change(change, reader), tokens)
    try:
        found, furthest = frames(reader)
    except TooManyWays:
        return CannotAnswer(
            "the question can be read in too many ways; ask for one thing at a time"
        )
    plans = [reading for frame in found for reading in readings(frame, world)]
    kept = _nearest(plans)
    if not kept:
        return _not_understood(reader, furthest)
    if len(kept) == 1:
        return _in_units(Understood(kept[0].plan), tokens)
    if len(kept) > MOST_READINGS:
        return CannotAnswer(
            "the question can be read in too many ways; name the table or column that is meant"
        )
    return _in_units(Ambiguous("Which of these is meant?", tuple(kept)), tokens)


def _in_units(outcome: Outcome, tokens: tuple[Token, ...]) -> Outcome:
    """The outcome, if no number of it may be meant in another unit than its column's."""
    match outcome:
        case Understood():
            plans: list[Plan] = [outcome.plan]
        case Ambiguous():
            plans = [reading.plan for reading in outcome.readings]
        case CannotAnswer():
            return outcome
    if reason := next((said for plan in plans if (said := unsaid(plan, tokens))), ""):
        return CannotAnswer(reason)
    if isinstance(outcome, Understood) and isinstance(outcome.plan, Select):
        return Understood(told(outcome.plan))
    return outcome


def _change(change: list[Write], reader: Reader) -> Outcome:
    if len(change) == 1:
        return Understood(change[0])
    if change:
        return CannotAnswer(
            "the change can be read in several ways; name the rows by a value that only they have"
        )
    refused = _not_understood(reader, 0)
    reason = (
        refused.reason
        if refused.words
        else "which rows it means, or what they become, was not understood; a change of every row "
        "of a table is not made from a question"
    )
    return CannotAnswer(f"this asks for a change; {reason}", refused.words)


def _refused(question: str) -> str:
    text = question.strip()
    if not text:
        return "the question is empty"
    if len(text) > MOST_CHARACTERS:
        return f"the question has {len(text)} characters, at most {MOST_CHARACTERS} are read; ask for one thing at a time"
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return "there is no word in the question"
    latin = sum(c < "\u0250" for c in letters)
    if latin < len(letters) / 2:
        return "without a model only English is understood"
    words = [token.word for token in tokens_of(text) if not token.is_mark]
    if words[0] in _YES_OR_NO and words[1:2] and words[1] in ("all", "every", "each", "both"):
        return "whether something is so of all rows is not told without a model; ask for those that are not"
    if len(words) >= 4 and not any(
        word in english.ENGLISH or word in english.COMPARATIVES or word in _ONLY_ENGLISH
        for word in words
    ):
        return "without a model only English is understood"
    return ""


def _nearest(plans: list[Reading]) -> list[Reading]:
    """Those that lie nearest, each plan once."""
    least = min((reading.cost for reading in plans), default=0)
    kept: dict[bytes, Reading] = {}
    for reading in plans:
        if reading.cost == least:
            bare = msgspec.structs.replace(reading.plan, assumptions=())
            kept.setdefault(msgspec.json.encode(bare), reading)
    return [one for one in kept.values() if not any(_shows_less(o, one) for o in kept.values())]


def _shows_less(one: Reading, other: Reading) -> bool:
    """Whether a reading is another one with fewer columns: nobody has to be asked about that."""
    less, more = (
        msgspec.structs.replace(
            reading.plan,
            outputs=(),
            distinct=False,
            where=_shown_or_not(reading),
            assumptions=(),
        )
        for reading in (one, other)
    )
    return less == more and set(one.plan.outputs) < set(other.plan.outputs)


def _shown_or_not(reading: Reading) -> tuple[Condition, ...]:
    """The conditions without those that only pass over rows with nothing to show."""
    shown = {output.value for output in reading.plan.outputs}
    return tuple(
        c
        for c in reading.plan.where
        if not (isinstance(c, Filter) and c.comparison == "is not null" and c.left in shown)
    )


def _not_understood(reader: Reader, furthest: int) -> CannotAnswer:
    unplaced = tuple(
        token.text for at, token in enumerate(reader.tokens) if _is_unknown(reader, at, token)
    )
    if unplaced:
        listed = ", ".join(repr(word[:40]) for word in unplaced[:8])
        reason = f"nothing in this database and no word of a question is meant by {listed}"
        near = [repr(word) for one in unplaced[:8] for word in reader.world.words_like(one)]
        return CannotAnswer(
            f"{reason}; is {' or '.join(near)} meant?" if near else reason, unplaced
        )
    rest = " ".join(token.text for token in reader.tokens[furthest : furthest + 6])
    return CannotAnswer(
        f"the words are known, but not what they ask together, from {rest!r} on"
        if rest
        else "the words are known, but not what they ask together"
    )


def _is_unknown(reader: Reader, at: int, token: Token) -> bool:
    if token.is_mark or token.possessive:
        return False
    inside = any(
        begin <= at < end
        for begin in range(max(0, at - 12), at + 1)
        for end, _ in reader.values(begin)
    )
    if inside or reader.number(at):
        return False
    return token.quoted or not (
        reader.is_plain(token)
        or token.word in english.MONTHS
        or token.base in english.DURATIONS
        or token.word in KNOWN
    )


_YES_OR_NO = frozenset(["do", "does", "did", "is", "are", "was", "were", "have", "has", "can"])
_ONLY_ENGLISH = english.FILLERS - frozenset(
    [
        "a",
        "an",
        "i",
        "on",
        "at",
        "am",
        "so",
        "do",
        "her",
        "all",
        "was",
        "s",
        "d",
        "me",
        "mine",
        "he",
        "also",
        "from",
        "der",
        "die",
        "das",
        "es",
    ]
)
"""Words that no question in a language with the same letters is likely to have."""

KNOWN = (
    frozenset(
        word
        for phrases in (
            english.AVERAGE,
            english.TOTAL,
            english.HIGHEST,
            english.LOWEST,
            english.REVENUE,
            english.DURATION_NOUNS,
            english.EXCEPT,
            english.SPENDING,
            VERBS,
            *(texts for _, texts in MATCHES),
        )
        for phrase in phrases
        for word in phrase.split()
    )
    | english.ADJECTIVES.keys()
    | english.MONEY_UNITS
    | english.TIME_ADVERBS.keys()
    | english.DONE
    | frozenset(
        [
            "born",
            "when",
            "never",
            "worth",
            "quarter",
            "alphabetically",
            "first",
            "best",
            "worst",
            "recent",
            "recently",
            "descending",
            "ascending",
            "only",
            "ones",
            "selling",
            "bestselling",
            "sorted",
            "ordered",
            "different",
            "distinct",
            "unique",
            "duplicates",
            "percent",
            "alphabetical",
        ]
    )
)
