"""The index of values: which column a word of a question may be a value of.

Samples are made by whoever may read the rows, through the asker's own access: `to_sample` says
of which columns, and never names one that is masked or that he may not see.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from stepwell.nldb.link.names import label_of
from stepwell.nldb.link.words import words_of
from stepwell.nldb.model import Access, Catalog, Table

_DAY = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")
_DAY_ALONE = len("2026-01-01")
MOST_WORDS = 12
"""A longer value is a text to read, not one that a question names."""


class Wanted(Struct, frozen=True):
    """Columns whose distinct values should be sampled together."""

    table: str
    columns: tuple[str, ...]


class Sample(Struct, frozen=True):
    """Distinct values with the number of rows that have them; `complete` when these are all."""

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], int], ...]
    complete: bool = True


class Hit(Struct, frozen=True):
    """A value that was found: rows of `table` in which `columns` are `values`.

    `rows` is how many rows have it.
    """

    table: str
    columns: tuple[str, ...]
    values: tuple[str, ...]
    rows: int
    complete: bool = True


def to_sample(catalog: Catalog, access: Access) -> tuple[Wanted, ...]:
    """The text columns that may be seen as they are, and first and last names together."""
    wanted: list[Wanted] = []
    for name, table in catalog.tables.items():
        allowed = access.tables.get(name)
        if allowed is None or table.is_view:
            continue
        columns = [
            column.name
            for column in table.columns
            if column.kind == "text"
            and column.name not in allowed.masks
            and (allowed.columns is None or column.name in allowed.columns)
        ]
        wanted += [Wanted(name, (column,)) for column in columns]
        label = label_of(table)
        if len(label) > 1 and set(label) <= set(columns):
            wanted.append(Wanted(name, label))
    return tuple(wanted)


class ValueIndex:
    """Finds values by their words, whatever their case, accents and punctuation."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._hits: dict[tuple[str, ...], list[Hit]] = defaultdict(list)
        self._days: dict[tuple[str, str], Literal["date", "timestamp"]] = {}
        self._distinct: dict[tuple[str, tuple[str, ...]], int] = {}
        for sample in samples:
            self._distinct[sample.table, sample.columns] = len(sample.rows)
            if len(sample.columns) == 1 and (kind := _days_of(sample)):
                self._days[sample.table, sample.columns[0]] = kind
                continue
            for values, count in sample.rows:
                words = words_of(" ".join(values))
                if 0 < len(words) <= MOST_WORDS:
                    hit = Hit(sample.table, sample.columns, values, count, sample.complete)
                    self._hits[words].append(hit)

    def find(self, words: tuple[str, ...]) -> tuple[Hit, ...]:
        """The values that have exactly these words."""
        return tuple(self._hits.get(words, ()))

    def nearest(self, words: tuple[str, ...], most: int = 3) -> tuple[str, ...]:
        """Values that are most like these words; () when none is."""
        said = {" ".join(known): hits[0] for known, hits in self._hits.items()}
        close = get_close_matches(" ".join(words), said, n=most, cutoff=0.75)
        return tuple(" ".join(said[text].values) for text in close)

    def rows_with(self, table: str, columns: tuple[str, ...], known: Hit) -> list[Hit]:
        """The values of `columns` of which `known` is a part: the people called Frank."""
        wanted = set(words_of(" ".join(known.values)))
        return [
            hit
            for words, hits in self._hits.items()
            if wanted <= set(words)
            for hit in hits
            if hit.table == table and hit.columns == columns and _agree(hit, known)
        ]

    def days(self, table: str, column: str) -> Literal["date", "timestamp"] | None:
        """Whether all values of a text column are days or instants as ISO 8601 writes them."""
        return self._days.get((table, column))

    def distinct(self, table: str, columns: tuple[str, ...]) -> int:
        """How many distinct values were sampled."""
        return self._distinct.get((table, columns), 0)

    def spans(self, words: tuple[str, ...]) -> Iterator[tuple[int, int, tuple[Hit, ...]]]:
        """Each stretch of the words that is a value."""
        for begin in range(len(words)):
            for end in range(begin + 1, min(len(words), begin + MOST_WORDS) + 1):
                if hits := self.find(words[begin:end]):
                    yield begin, end, hits


def _days_of(sample: Sample) -> Literal["date", "timestamp"] | None:
    if not sample.rows or not all(_DAY.fullmatch(values[0]) for values, _ in sample.rows):
        return None
    return "timestamp" if any(len(values[0]) > _DAY_ALONE for values, _ in sample.rows) else "date"


def _agree(hit: Hit, known: Hit) -> bool:
    pairs = dict(zip(hit.columns, hit.values, strict=True))
    return all(pairs.get(c) == v for c, v in zip(known.columns, known.values, strict=True))


def label_hit(table: Table, hit: Hit) -> bool:
    """Whether a value is a name of the rows themselves, and not of something about them."""
    return set(hit.columns) <= set(label_of(table))
