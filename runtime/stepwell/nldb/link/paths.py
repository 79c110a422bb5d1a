"""Ways between tables along foreign keys."""

from collections import defaultdict, deque
from collections.abc import Mapping

from msgspec import Struct

from stepwell.nldb.link.names import is_junction
from stepwell.nldb.model import Catalog
from stepwell.nldb.plan.check import is_to_one

LONGEST = 6
_MOST_PATHS = 4
_MOST_LOOKS = 5000


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
        self._junctions = {name for name, table in catalog.tables.items() if is_junction(table)}
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
        """How far two tables are apart; 99 when there is no way."""
        found = self.paths(begin, end)
        return self._length(found[0]) if found else 99

    def _length(self, path: Path) -> int:
        """The number of keys; two that only lead through a junction count as one."""
        passed = sum(edge.other in self._junctions for edge in path[:-1])
        return len(path) - passed

    def _shortest(self, begin: str, end: str) -> tuple[Path, ...]:
        """The ways of the least length, each table of a way passed once."""
        best, found = LONGEST + 1, list[Path]()
        todo: deque[Path] = deque([()])
        looked = 0
        while todo and looked < _MOST_LOOKS:
            path = todo.popleft()
            looked += 1
            at = path[-1].other if path else begin
            passed = {begin, *(edge.other for edge in path)}
            for edge in self.edges.get(at, []):
                longer = (*path, edge)
                length = self._length(longer)
                if edge.other in passed or length > min(best, LONGEST):
                    continue
                if edge.other != end:
                    todo.append(longer)
                elif length < best:
                    best, found = length, [longer]
                else:
                    found.append(longer)
        return tuple(found[:_MOST_PATHS])
