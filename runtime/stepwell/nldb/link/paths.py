"""Ways between tables along foreign keys."""

from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct

from stepwell.nldb.model import Catalog
from stepwell.nldb.plan.check import is_to_one

LONGEST = 6
_MOST_PATHS = 4


class Edge(Struct, frozen=True):
    """One foreign key, in one of its directions. `key` has the columns that hold it."""

    table: str
    other: str
    on: tuple[tuple[str, str], ...]
    to_one: bool
    key: tuple[str, ...]


Path = tuple[Edge, ...]


class Graph:
    """The foreign keys of a catalog, both ways."""

    def __init__(self, catalog: Catalog) -> None:
        edges: dict[str, list[Edge]] = defaultdict(list)
        for name, table in catalog.tables.items():
            for key in table.foreign_keys:
                if key.table not in catalog.tables or len(key.columns) != len(key.referred):
                    continue
                pairs = tuple(zip(key.columns, key.referred, strict=True))
                edges[name].append(Edge(name, key.table, pairs, True, key.columns))
                back = tuple((theirs, own) for own, theirs in pairs)
                alone = is_to_one(catalog, name, key.columns)
                edges[key.table].append(Edge(key.table, name, back, alone, key.columns))
        self.edges: Mapping[str, list[Edge]] = edges
        self._known: dict[tuple[str, str], tuple[Path, ...]] = {}

    def paths(self, begin: str, end: str) -> tuple[Path, ...]:
        """The shortest ways from one table to another; several when it is ambiguous.

        A table is never joined with itself, as nobody could tell which of both is meant.
        """
        if begin == end:
            return ((),)
        if (begin, end) not in self._known:
            self._known[begin, end] = self._shortest(begin, end)
        return self._known[begin, end]

    def distance(self, begin: str, end: str) -> int:
        """The number of foreign keys between two tables; 99 when there is no way."""
        found = self.paths(begin, end)
        return len(found[0]) if found else 99

    def _shortest(self, begin: str, end: str) -> tuple[Path, ...]:
        layer: list[Path] = [()]
        seen = {begin}
        for _ in range(LONGEST):
            longer: list[Path] = []
            for path in layer:
                at = path[-1].other if path else begin
                further = self.edges.get(at, [])
                longer += [(*path, edge) for edge in further if edge.other not in seen]
            found = tuple(path for path in longer if path[-1].other == end)
            if found:
                return found[:_MOST_PATHS]
            seen |= {path[-1].other for path in longer}
            layer = longer[:2000]
        return ()
