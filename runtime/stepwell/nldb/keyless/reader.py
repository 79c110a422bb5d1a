"""Looks things up in a question at one of its tokens: names, values, numbers, times."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.frame import Columns, Metric, Named
from stepwell.nldb.keyless.tokens import Token
from stepwell.nldb.keyless.world import Phrase, Role, World
from stepwell.nldb.link.values import MOST_WORDS, Hit
from stepwell.nldb.link.words import words_of
from stepwell.nldb.plan.model import Comparison

T = TypeVar("T")
_ARTICLES = frozenset(
    [
        "the",
        "a",
        "an",
        "our",
        "all",
        "any",
        "of",
        "your",
        "their",
        "its",
        "my",
        "his",
        "her",
        "some",
    ]
)
_OPERATORS = frozenset(word for phrase in english.COMPARISONS for word in phrase) | frozenset(
    [
        "and",
        "or",
        "not",
        "no",
        "never",
        "without",
        "except",
        "per",
        "by",
        "each",
        "every",
        "most",
        "least",
        "fewest",
        "first",
        "last",
        "top",
        "how",
        "many",
        "much",
        "number",
        "count",
        "average",
        "mean",
        "total",
        "sum",
        "between",
        "before",
        "after",
        "since",
        "until",
        "than",
    ]
)

_SIGNS: tuple[Comparison, ...] = ("<=", ">=", "<", ">", "=")


class Reader:
    """A question's tokens with what may stand at each of them."""

    def __init__(self, tokens: Sequence[Token], world: World) -> None:
        self.tokens = tokens
        self.world = world
        self._values = self._find_values()

    def __len__(self) -> int:
        return len(self.tokens)

    def word(self, at: int) -> str:
        """The word at a place; "" beyond the end and for what was quoted."""
        if at >= len(self.tokens) or at < 0 or self.tokens[at].quoted:
            return ""
        return self.tokens[at].word

    def text(self, begin: int, end: int) -> str:
        """The words of a stretch."""
        return " ".join(token.word for token in self.tokens[begin:end])

    def as_written(self, begin: int, end: int) -> str:
        """The text of a stretch with the signs that join its tokens."""
        parts = [
            (token.dropped if token.is_glued else " ") + token.text
            for token in self.tokens[begin + 1 : end]
        ]
        return self.tokens[begin].text + "".join(parts)

    def says(self, at: int, *texts: str) -> int:
        """The end of the longest of some phrases that stands here; 0 when none does."""
        best = 0
        for text in texts:
            words = text.split()
            if len(words) > best - at and self._are(at, words):
                best = max(best, at + len(words))
        return best

    def _are(self, at: int, words: Sequence[str]) -> bool:
        return all(self.word(at + step) == word for step, word in enumerate(words))

    def one_of(self, at: int, phrases: Collection[Phrase], longest: int = 6) -> int:
        """The end of the longest phrase of a set that stands here; 0 when none does."""
        for end in range(min(len(self), at + longest), at, -1):
            if tuple(self.word(i) for i in range(at, end)) in phrases:
                return end
        return 0

    def skip(self, at: int, words: Collection[str] = _ARTICLES) -> int:
        """The next place that is not one of some words."""
        while self.word(at) and self.word(at) in words:
            at += 1
        return at

    # Names

    def tables(self, at: int) -> list[tuple[int, tuple[str, ...], bool]]:
        """Tables that are named here, with whether the word is a plural."""
        found = self._longest(at, self.world.tables)
        out: list[tuple[int, tuple[str, ...], bool]] = []
        for end, names in found:
            best = min(far for _, far in names)
            last = self.tokens[end - 1]
            out.append((end, tuple(t for t, far in names if far == best), last.word != last.base))
        return out

    def columns(self, at: int) -> list[tuple[int, Named]]:
        """Columns that are named here."""
        return [
            (end, Named(tuple(names), self.tokens[end - 1].word != self.tokens[end - 1].base))
            for end, names in self._longest(at, self.world.columns)
        ]

    def roles(self, at: int) -> list[tuple[int, tuple[Role, ...]]]:
        """Roles that are named here: a boss, a support rep."""
        return [(end, tuple(roles)) for end, roles in self._longest(at, self.world.roles)]

    def figures(self, at: int) -> list[tuple[int, Metric]]:
        """Metrics that are named here."""
        return [(end, Metric(tuple(m))) for end, m in self._longest(at, self.world.metrics)]

    def _longest(self, at: int, names: Mapping[Phrase, list[T]]) -> list[tuple[int, list[T]]]:
        for end in range(min(len(self), at + self.world.longest), at, -1):
            stretch = self.tokens[at:end]
            if any(token.is_mark or token.possessive for token in stretch):
                continue
            for phrase in _spellings(stretch):
                if found := names.get(phrase):
                    return [(end, found)]
        return []

    def is_name(self, at: int) -> bool:
        """Whether a token is neither a mark nor a word that carries nothing."""
        token = self.tokens[at]
        return not (
            token.is_mark
            or token.possessive
            or token.word in english.FILLERS
            or token.word == "and"
        )

    # Values

    def values(self, at: int) -> list[tuple[int, tuple[Hit, ...]]]:
        """Values that begin here."""
        return self._values.get(at, [])

    def _find_values(self) -> dict[int, list[tuple[int, tuple[Hit, ...]]]]:
        spans: list[tuple[int, int, tuple[Hit, ...]]] = []
        for begin, first in enumerate(self.tokens):
            if first.quoted:
                if hits := self.world.values.find(words_of(first.text)):
                    spans.append((begin, begin + 1, hits))
                continue
            for end in range(begin + 1, min(len(self), begin + MOST_WORDS) + 1):
                if (
                    self.tokens[end - 1].is_mark
                    or self.tokens[end - 1].possessive
                    or self.tokens[end - 1].quoted
                ):
                    break
                hits = self._named(begin, end)
                if hits and (admitted := self._admitted(begin, end, hits)):
                    spans.append((begin, end, admitted))
        found: dict[int, list[tuple[int, tuple[Hit, ...]]]] = {}
        for begin, end, hits in spans:
            inside = any(b <= begin and end <= e and e - b > end - begin for b, e, _ in spans)
            if not inside:
                found.setdefault(begin, []).append((end, hits))
        return found

    def _named(self, begin: int, end: int) -> tuple[Hit, ...]:
        """The values of a stretch; the last word may be the plural of a kind: `admins`."""
        words = tuple(token.word for token in self.tokens[begin:end])
        if hits := self.world.values.find(words):
            return hits
        base = self.tokens[end - 1].base
        return (
            self._of_few(self.world.values.find((*words[:-1], base))) if base != words[-1] else ()
        )

    def _admitted(self, begin: int, end: int, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """Without the values that are more likely plain words of the question."""
        words = [token.word for token in self.tokens[begin:end]]
        if all(
            word.isdigit() or word in english.MONTHS or word in english.NUMBERS for word in words
        ):
            return ()
        opens = begin == 0 or self.tokens[begin - 1].is_mark
        capital = any(t.is_capital for t in self.tokens[begin + opens : end])
        plain = all(self.is_plain(token) for token in self.tokens[begin:end])
        if capital or (opens and not plain):
            return hits
        if plain:
            return self._of_few(hits) if not any(map(self._is_grammar, words)) else ()
        if sum(word not in english.FILLERS for word in words) > 1:
            return hits
        return tuple(h for h in hits if self.world.values.distinct(h.table, h.columns) <= 300)

    def _of_few(self, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """Those of columns with so few values that a question may well name one of them."""
        few = english.FEW_VALUES
        return tuple(h for h in hits if self.world.values.distinct(h.table, h.columns) <= few)

    def _is_grammar(self, word: str) -> bool:
        """Whether a word does so much in questions that it is never a value, if it is not quoted."""
        return (
            word in english.FILLERS
            or word in _OPERATORS
            or word in english.SUPERLATIVES
            or word in english.COMPARATIVES
            or word in english.TIME_UNITS
        )

    def is_plain(self, token: Token) -> bool:
        """Whether a word is known as a word of questions or of the names in the catalog."""
        word = token.word
        return (
            word in english.FILLERS
            or word in _OPERATORS
            or token.base in self.world.vocabulary
            or word in self.world.vocabulary
            or word in english.SUPERLATIVES
            or word in english.COMPARATIVES
            or token.base in english.TIME_UNITS
            or any(word in verbs for verbs in _VERBS)
        )

    # Numbers

    def number(self, at: int) -> tuple[int, float] | None:
        """A number, in digits or words; not a year that stands for a time."""
        word = self.word(at)
        if word in ("a", "an") and (
            self.word(at + 1) in english.MONEY_UNITS or self.duration(at + 1)
        ):
            return at + 1, 1.0
        if word in english.NUMBERS:
            return at + 1, float(english.NUMBERS[word])
        if word and word[0].isdigit() and "-" not in word:
            try:
                number = float(word)
            except ValueError:
                return None
            if self.word(at + 1) in ("thousand", "million", "k"):
                return at + 2, number * (1_000_000 if self.word(at + 1) == "million" else 1000)
            return at + 1, number
        return None

    def comparison(self, at: int) -> tuple[int, Comparison] | None:
        """`more than`, `at least`, ... or a sign."""
        for end in range(min(len(self), at + 4), at, -1):
            phrase = tuple(self.word(i) for i in range(at, end))
            if phrase in english.COMPARISONS:
                return end, english.COMPARISONS[phrase]
        for sign in _SIGNS:
            if self._are(at, tuple(sign)):
                return at + len(sign), sign
        return None

    def is_part(self, at: int) -> bool:
        """Whether a part of money is named, in which some columns count: cents."""
        return at < len(self) and self.tokens[at].base in english.MONEY_PARTS

    def duration(self, at: int) -> tuple[int, int] | None:
        """A unit of durations, in milliseconds."""
        base = self.tokens[at].base if at < len(self) else ""
        return (at + 1, english.DURATIONS[base]) if base in english.DURATIONS else None


_VERBS = (
    english.SPEND,
    english.BILL,
    english.BUY,
    english.SELL,
    english.CREATE,
    english.SERVE,
    english.HAVE,
    english.LIVE,
)


def _spellings(tokens: Sequence[Token]) -> list[Phrase]:
    """A name may be in the singular throughout, or only its last word."""
    every = tuple(token.base for token in tokens)
    last = (*(token.word for token in tokens[:-1]), tokens[-1].base)
    return [last] if every == last else [last, every]


def columns_of(named: Named, tables: Collection[str]) -> Columns:
    """Those of its columns that are in some tables."""
    return tuple(c for c in named.columns if c.table in tables)
