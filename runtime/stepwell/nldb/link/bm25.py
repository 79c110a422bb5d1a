"""BM25 over small documents: which of them a few words are most likely about."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

_K1 = 1.2
_B = 0.5
"""Tables with many columns are not less likely by as much as long texts would be."""


class Bm25:
    """Documents by name, each a weight for each of its terms."""

    def __init__(self, documents: Mapping[str, Mapping[str, float]]) -> None:
        lengths = {name: sum(terms.values()) for name, terms in documents.items()}
        typical = sum(lengths.values()) / len(lengths) if lengths else 1.0
        found: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for name, terms in documents.items():
            norm = _K1 * (1 - _B + _B * lengths[name] / (typical or 1.0))
            for term, weight in terms.items():
                found[term].append((name, weight * (_K1 + 1) / (weight + norm)))
        total = len(documents)
        self._postings = {
            term: [(name, weight * self._rarity(len(names), total)) for name, weight in names]
            for term, names in found.items()
        }
        self._rarities = {term: self._rarity(len(names), total) for term, names in found.items()}

    @staticmethod
    def _rarity(count: int, total: int) -> float:
        return math.log(1 + (total - count + 0.5) / (count + 0.5))

    def rarity(self, term: str) -> float:
        """How much a term tells: 0 for one that is nowhere."""
        return self._rarities.get(term, 0.0)

    def scores(self, terms: Iterable[tuple[str, float]]) -> dict[str, float]:
        """The documents that have any of the weighted terms, with their scores."""
        found: dict[str, float] = defaultdict(float)
        for term, weight in terms:
            for name, score in self._postings.get(term, ()):
                found[name] += weight * score
        return found
