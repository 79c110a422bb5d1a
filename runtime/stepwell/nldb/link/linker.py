"""The tables that a question is about, out of a thousand.

Words find tables by their names, columns and comments; values find the tables that have them;
and the tables that lie between those found come along, as no join would be possible without.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from msgspec import Struct

from stepwell.nldb.link.bm25 import Bm25
from stepwell.nldb.link.synonyms import NOUNS
from stepwell.nldb.link.values import Hit, ValueIndex
from stepwell.nldb.link.words import stem, words_of, words_of_name
from stepwell.nldb.model import Catalog, Table

MOST_TABLES = 12
_SEEDS = 6
"""Between the best of so many, tables that lie in between are looked for."""

_NAME, _COLUMN, _COMMENT, _TERM = 4.0, 1.5, 1.0, 4.0
_SYNONYM = 0.5
_VALUE = 12.0
_STOP = frozenset(
    words_of(
        "the a an of in is are was were what which who how many much show list give find all and or "
        "not with for from to per by each do does did have has on at that there me us we our their it"
    )
)


class LinkedTable(Struct, frozen=True):
    """A table with how much speaks for it; `between` when it only connects others."""

    name: str
    score: float
    between: bool = False


class Linked(Struct, frozen=True):
    """What a question may be about, the likeliest first."""

    tables: tuple[LinkedTable, ...]
    values: tuple[Hit, ...]


class Linker:
    """Finds tables by the words of a question. Made once for a catalog and what may be seen of it."""

    def __init__(
        self,
        catalog: Catalog,
        values: ValueIndex,
        *,
        terms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`terms` are further words for a `table` or `table.column`, as a glossary has them."""
        self._values = values
        documents = {name: _document(table) for name, table in catalog.tables.items()}
        for target, phrases in (terms or {}).items():
            table = target if target in documents else target.rpartition(".")[0]
            for word in (stem(w) for phrase in phrases for w in words_of(phrase)):
                if table in documents:
                    documents[table][word] += _TERM
        self._index = Bm25(documents)
        self._names = {name: _stems(table.bare) for name, table in catalog.tables.items()}
        self._near = _neighbours(catalog)
        self._synonyms = _synonyms()

    def link(self, question: str, *, most: int = MOST_TABLES) -> Linked:
        """The tables and values that a question may be about."""
        words = words_of(question)
        terms = self._expanded(words)
        scores = self._index.scores(terms.items())
        self._prefer_names(scores, terms)
        hits = self._hits(words)
        for hit in hits:
            scores[hit.table] = (
                scores.get(hit.table, 0.0) + _VALUE * len(hit.values[0].split()) ** 0.5
            )
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        return Linked(self._closed(ranked, most), hits)

    def _expanded(self, words: Sequence[str]) -> dict[str, float]:
        """The stems of the words, and weaker those of words that mean the same."""
        found: dict[str, float] = {}
        stems = [stem(word) for word in words]
        for word in words:
            if word not in _STOP:
                found[stem(word)] = 1.0
        for length in (1, 2, 3):
            for begin in range(len(stems) - length + 1):
                for other in self._synonyms.get(tuple(stems[begin : begin + length]), ()):
                    found.setdefault(other, _SYNONYM)
        return found

    def _prefer_names(self, scores: dict[str, float], terms: Mapping[str, float]) -> None:
        """A table whose whole name is said is more than one of which a word is said."""
        for name in scores:
            own = self._names[name]
            total = sum(self._index.rarity(word) for word in own)
            said = sum(self._index.rarity(word) * terms.get(word, 0.0) for word in own)
            if total:
                scores[name] += 2 * said * said / total

    def _hits(self, words: tuple[str, ...]) -> tuple[Hit, ...]:
        """Values that are said, the longest ones: not every word that is a value somewhere."""
        spans = list(self._values.spans(words))
        found: list[Hit] = []
        for begin, end, hits in spans:
            inside = any(b <= begin and end <= e and e - b > end - begin for b, e, _ in spans)
            telling = end - begin > 1 or words[begin] not in _STOP
            if not inside and telling and len(hits) <= 8:
                found += hits
        return tuple(found)

    def _closed(self, ranked: list[tuple[str, float]], most: int) -> tuple[LinkedTable, ...]:
        """The best, and what lies between the best of them."""
        scores = dict(ranked)
        seeds = [name for name, _ in ranked[:_SEEDS]]
        between: dict[str, float] = {}
        for one, other in combinations(seeds, 2):
            for name in self._between(one, other, scores):
                if name not in seeds:
                    # As good as the worse of the two that need it, just after it.
                    worth = 0.9 * min(scores[one], scores[other])
                    between[name] = max(between.get(name, 0.0), worth)
        best = dict(ranked[: most * 2])
        for name, worth in between.items():
            best[name] = max(best.get(name, 0.0), worth)
        order = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:most]
        return tuple(
            LinkedTable(name, round(score, 3), name in between and name not in scores)
            for name, score in order
        )

    def _between(self, one: str, other: str, scores: Mapping[str, float]) -> Iterable[str]:
        """The tables of the shortest ways with one or two tables in between; none when direct."""
        near, far = self._near[one], self._near[other]
        if other in near:
            return ()
        if common := near & far:
            return sorted(common, key=lambda name: -scores.get(name, 0.0))[:2]
        pairs = [(a, b) for a in near for b in self._near[a] & far]
        if not pairs:
            return ()
        return max(pairs, key=lambda pair: sum(scores.get(name, 0.0) for name in pair))


def _document(table: Table) -> defaultdict[str, float]:
    terms: defaultdict[str, float] = defaultdict(float)
    for word in _stems(table.bare):
        terms[word] += _NAME
    for column in table.columns:
        for word in _stems(column.name):
            terms[word] += _COLUMN
        for word in words_of(column.comment):
            terms[stem(word)] += _COMMENT
    for word in words_of(table.comment):
        terms[stem(word)] += _COMMENT
    return terms


def _stems(name: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in words_of_name(name))


def _neighbours(catalog: Catalog) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in catalog.tables}
    for name, table in catalog.tables.items():
        for key in table.foreign_keys:
            if key.table in found and key.table != name:
                found[name].add(key.table)
                found[key.table].add(name)
    return found


def _synonyms() -> dict[tuple[str, ...], frozenset[str]]:
    """By each phrase of a group, the words of the others."""
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for group in NOUNS:
        phrases = [tuple(stem(word) for word in text.split()) for text in group]
        for phrase in phrases:
            for other in phrases:
                if other != phrase:
                    found[phrase].update(word for word in other if word not in _STOP)
    return {phrase: frozenset(words) for phrase, words in found.items()}
