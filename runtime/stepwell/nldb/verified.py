"""Questions with an answer that somebody has checked: they are found again by their words.

A verified query is good for one schema: when the fingerprint of the catalog changes it is stale,
and not used until somebody looks at it again. Its question may have slots, `orders from {city}`;
what stands there in a question becomes a bound value of the SQL, where it is `:city`.
"""

import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from stepwell.nldb.link.bm25 import Bm25
from stepwell.nldb.link.values import ValueIndex
from stepwell.nldb.link.words import CARRIES_NOTHING, folded, singular, words_of
from stepwell.nldb.model import Catalog, Dialect
from stepwell.nldb.plan.model import Scalar

_SLOT = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_PLACE = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_WORD = re.compile(r"\{[a-z_][a-z0-9_]*\}|[^\W_]+", re.UNICODE)
_PASSED_OVER = frozenset(
    ("the", "a", "an", "please", "our", "all", "of", "show", "me", "give", "list")
)
_PLAIN = re.compile(r"\d+(?:\.\d+)?|\d{4}-\d{2}-\d{2}")
_LONGEST = 12
"""More words are no value of a slot."""


class Verified(Struct, frozen=True, kw_only=True):
    """A question with its SQL, for one schema."""

    question: str
    sql: str
    dialect: Dialect
    fingerprint: str
    by: str = ""
    """Who checked it."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of its slots, in the order of the question."""
        return tuple(dict.fromkeys(_SLOT.findall(self.question)))


class Recalled(Struct, frozen=True):
    """A verified query that fits a question, with the values of its slots."""

    verified: Verified
    parameters: dict[str, Scalar]


class Unusable(ValueError):
    """The verified query cannot be kept; the text says why."""


def check_verified(verified: Verified) -> None:
    """Nothing, when the question has a slot for each parameter of the SQL, and no others.

    Raises:
        Unusable: it has not, or a slot is there twice or next to another one.
    """
    slots = _SLOT.findall(verified.question)
    if len(slots) != len(set(slots)):
        raise Unusable("each slot is once in the question")
    if re.search(r"\}\W*\{", verified.question):
        raise Unusable("two slots need a word in between, or nobody knows where the first one ends")
    missing = set(slots) ^ set(_PLACE.findall(verified.sql))
    if missing:
        raise Unusable(
            f"{', '.join(sorted(missing))}: each slot {{name}} of the question is :name in the SQL"
        )
    if not _normal(verified.question):
        raise Unusable("the question has no words")


def state(verified: Verified, catalog: Catalog) -> Literal["good", "stale", "foreign"]:
    """Whether it may be used with this catalog: stale after a change, foreign in another dialect."""
    if verified.dialect != catalog.dialect:
        return "foreign"
    return "good" if verified.fingerprint == catalog.fingerprint else "stale"


def recall(
    question: str, kept: Iterable[Verified], catalog: Catalog, values: ValueIndex
) -> Recalled | None:
    """The verified query that asks the same, word for word but for case, plurals and courtesies.

    What stands in a slot must be a value that was sampled, a number or a day: `Oslo in 2024` is no
    city, and would be looked for as one.

    One without slots goes before one with slots. When several fit with different SQL none is
    taken: nobody can know which of them was meant.
    """
    fits: list[Recalled] = []
    for verified in kept:
        if state(verified, catalog) == "good":
            parameters = _bound(verified, question)
            if parameters is not None and all(_is_value(v, values) for v in parameters.values()):
                fits.append(Recalled(verified, parameters))
    plain = [fit for fit in fits if not fit.parameters]
    best = plain or fits
    same = {(fit.verified.sql, tuple(sorted(fit.parameters.items()))) for fit in best}
    return best[0] if len(same) == 1 else None


def like(
    question: str, kept: Iterable[Verified], catalog: Catalog, most: int
) -> tuple[Verified, ...]:
    """The verified queries that share words with a question, the likest first.

    A word that many of them have tells little, and a slot is no word. One that shares less than a
    third of what it is about is about something else.
    """
    good = [verified for verified in kept if state(verified, catalog) == "good"]
    words = {number: _words(one.question) for number, one in enumerate(good)}
    ranks = Bm25({str(number): dict.fromkeys(said, 1.0) for number, said in words.items()})
    asked = _words(question)
    scores = ranks.scores((word, 1.0) for word in asked)
    near = [n for n, said in words.items() if len(said & asked) * 3 >= len(said) and said & asked]
    return tuple(good[n] for n in sorted(near, key=lambda n: (-scores[str(n)], n))[:most])


def _words(text: str) -> frozenset[str]:
    said = frozenset(word for word in _normal(text) if not word.startswith("{"))
    return said - CARRIES_NOTHING


def _is_value(said: Scalar, values: ValueIndex) -> bool:
    text = str(said)
    return bool(values.find(words_of(text))) or bool(_PLAIN.fullmatch(text))


def _normal(text: str) -> list[str]:
    words = (
        word if word.startswith("{") else singular(word) for word in _WORD.findall(folded(text))
    )
    return [word for word in words if word not in _PASSED_OVER]


def _bound(verified: Verified, question: str) -> dict[str, Scalar] | None:
    """The values of the slots when the questions agree; {} without slots, None when they differ."""
    wanted = _normal(verified.question)
    if not verified.slots:
        return {} if wanted == _normal(question) else None
    said = [(m.group(), m.start(), m.end()) for m in re.finditer(r"[^\W_]+", question)]
    said = [one for one in said if singular(folded(one[0])) not in _PASSED_OVER]
    return _match(wanted, said, question)


def _match(
    wanted: list[str], said: list[tuple[str, int, int]], question: str
) -> dict[str, Scalar] | None:
    found: dict[str, Scalar] = {}
    at = 0
    for number, word in enumerate(wanted):
        if not word.startswith("{"):
            if at >= len(said) or singular(folded(said[at][0])) != word:
                return None
            at += 1
            continue
        following = wanted[number + 1] if number + 1 < len(wanted) else None
        end = at + 1
        while end < len(said) and singular(folded(said[end][0])) != following:
            end += 1
        if at >= len(said) or end - at > _LONGEST:
            return None
        found[word[1:-1]] = question[said[at][1] : said[end - 1][2]]
        at = end
    return found if at == len(said) else None
