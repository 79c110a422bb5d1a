"""One meaning of a slot, and what all kinds of slots need to know of the tables around."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from msgspec import Struct

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.builder import Builder, Unfit
from stepwell.nldb.keyless.frame import (
    Columns,
    Copies,
    Frame,
    Metric,
    Money,
    Related,
    RowsOf,
    Sized,
)
from stepwell.nldb.keyless.meanings.roots import figure_of, mentioned
from stepwell.nldb.keyless.world import ColumnName, World
from stepwell.nldb.link.names import noun
from stepwell.nldb.link.paths import Path
from stepwell.nldb.link.words import stem, words_of_name
from stepwell.nldb.plan.model import (
    Aggregate,
    Col,
)


class Choice(Struct, frozen=True):
    """One meaning of a slot: how it changes the question, and how far it lies."""

    apply: Callable[[Builder], None]
    cost: int = 0
    meaning: str = ""


class Around:
    """One frame from one root: what lies around it."""

    def __init__(self, frame: Frame, world: World, root: str) -> None:
        self.frame, self.world, self.root = frame, world, root
        self.bare = world.table(root).bare
        self.cost = 0
        self.figure = figure_of(frame)
        self.is_sum = isinstance(self.figure, Money | Copies | Metric)

    def paths(self, table: str) -> list[Path]:
        """The shortest ways to a table.

        Raises:
            Unfit: there is none.
        """
        found = self.world.graph.paths(self.root, table)
        if not found:
            raise Unfit(f"nothing leads from {self.root} to {table}")
        return list(found)

    def belonging(self, table: str) -> list[Path]:
        """The shortest ways to a table whose rows belong to those of the root.

        A payment and a user of one account have the account in common; neither belongs to the
        other, unless the question names the account.

        Raises:
            Unfit: there is none.
        """
        found = [path for path in self.paths(table) if not self._is_beside(path)]
        if not found:
            raise Unfit(f"rows of {self.root} and {table} only have something in common")
        return found

    def _is_beside(self, path: Path) -> bool:
        return any(
            up.to_one
            and not (down.to_one or self.world.is_junction(down.other))
            and up.other not in mentioned(self.frame)
            for up, down in pairwise(path)
        )

    def distance(self, table: str) -> int:
        """How many foreign keys away a table is."""
        return self.world.graph.distance(self.root, table)

    def reached(
        self, table: str, apply: Callable[[Builder, Path], None], cost: int, meaning: str
    ) -> list[Choice]:
        """One choice for each way to a table; a sum takes only ways on which no row is doubled.

        Raises:
            Unfit: there is no such way.
        """
        paths = self.belonging(table)
        if self.is_sum:
            paths = [path for path in paths if all(edge.to_one for edge in path)]
            if not paths:
                raise Unfit("a sum over what lies on the side of many")
        return [Choice(bound_to(apply, path), cost, meaning + self.way(path)) for path in paths]

    def way(self, path: Path) -> str:
        """Which of several ways to a table a path is; "" where there is one only."""
        if not path or len(self.paths(path[-1].other)) < 2:
            return ""
        between = [edge.other for edge in path[:-1]]
        if between and all(map(self.world.is_junction, between)):
            return f", by way of {' and '.join(between)}"
        keys = (
            f"{edge.table if edge.to_one else edge.other}.{' and '.join(edge.key)}" for edge in path
        )
        return f", by {' and '.join(keys)}"

    def is_one(self, table: str) -> bool:
        """Whether each row of the root has at most one row of a table."""
        return any(
            all(edge.to_one for edge in path) for path in self.world.graph.paths(self.root, table)
        )

    def is_optional(self, path: Path) -> bool:
        """Whether a row of the root may have no row at the end of a path."""
        return any(
            column.nullable
            for edge in path
            for column in self.world.table(edge.table).columns
            if column.name in edge.key
        )

    def best(self, columns: Sequence[ColumnName]) -> list[ColumnName]:
        """Those columns whose names are nearest to the words."""
        far = min((c.far for c in columns), default=0)
        return [c for c in columns if c.far == far]

    def group_rows(self, builder: Builder, path: Path) -> None:
        """Groups by the rows of a table: by its key, shown by its name."""
        table = path[-1].other if path else self.root
        name = builder.joined(path)
        key = self.world.table(table).primary_key
        label = self.world.label(table) or key
        if not key or not label:
            raise Unfit(f"rows of {table} cannot be told apart")
        for column in dict.fromkeys((*key, *label)):
            builder.group.append(Col(name, column))
        for column in label:
            builder.output(Col(name, column), column)

    def count_of(self, table: str, name: str, *, many: bool) -> Aggregate:
        """The number of rows of a joined table, each counted once.

        Raises:
            Unfit: they may be doubled, and no one column tells them apart.
        """
        if not many:
            return (
                Aggregate("count", Col(name, self.world.table(table).primary_key[0]))
                if self.world.table(table).primary_key
                else Aggregate("count distinct", Col(name, self.world.table(table).columns[0].name))
            )
        key = self.world.table(table).primary_key
        if len(key) != 1:
            raise Unfit(f"rows of {table} cannot be told apart by one column")
        return Aggregate("count distinct", Col(name, key[0]))

    def sized(self, target: Sized) -> list[str]:
        """The columns of the root that measure something.

        Raises:
            Unfit: there are none.
        """
        if target.kind == "money":
            found = self.world.measuring(self.root, "amount") or self.world.measuring(
                self.root, "price"
            )
            both = {c.name for c in found} | {
                c.name for c in self.world.measuring(self.root, "price")
            }
            names = sorted(both)
        else:
            names = [c.name for c in self.world.measuring(self.root, target.kind)]
            if target.kind == "size" and (money := [n for n in names if self._is_total(n)]):
                names = money
        if target.kind == "recency":
            names = self._own_dates(names)
        if not names:
            raise Unfit(f"{self.root} has no {target.kind}")
        return names

    def _is_total(self, column: str) -> bool:
        return self.world.is_transaction(self.root) and bool(
            set(words_of_name(column)) & english.MONEY_TOTALS
        )

    def _own_dates(self, names: list[str]) -> list[str]:
        """Of several dates, the one that bears the name of the table or no name at all."""
        own = {stem(word) for word in noun(self.bare)}
        best = [n for n in names if _is_of(n, own) or words_of_name(n) == ("date",)]
        return self._given(self.root, best or names)

    def factor(self, table: str, column: str, unit: int) -> float:
        """How many of a column's units are one of the asker's.

        Raises:
            Unfit: one of both has no unit.
        """
        there = self.world.duration_unit(self.world.column(table, column))
        if (unit == 0) != (there is None):
            raise Unfit("the unit of a duration is not known")
        return unit / there if there else 1

    def time_columns(self, named: Columns = ()) -> list[tuple[str, str]]:
        """The dates that a time may be about, the nearest ones.

        Raises:
            Unfit: there are none.
        """
        if named:
            nearest = min(self.distance(c.table) for c in named)
            if not any(self._may_date(c.table) for c in named if self.distance(c.table) == nearest):
                raise Unfit("it happened to other rows")
            return [(c.table, c.column) for c in named if self.distance(c.table) == nearest]
        dates = [(c.table, c.column) for c in self.frame.dated if c.table == self.root]
        if dates:  # what is closed has the day of that besides its own
            return [*dates, *(date for date in self._dates(self.root) if date not in dates)]
        related = [t for s in self.frame.slots if isinstance(s, Related) for t in s.tables]
        for table in [*[t for t in related if self.world.is_transaction(t)], self.root, *related]:
            if self.distance(table) < 99 and (dates := self._dates(table)):
                return dates
        if self.is_sum or isinstance(self.figure, RowsOf):
            parents = [e.other for e in self.world.graph.edges.get(self.root, []) if e.to_one]
            deals = [table for table in parents if self.world.is_transaction(table)]
            if found := [date for table in deals for date in self._dates(table)]:
                return found
        raise Unfit(f"{self.root} has no date")

    def _may_date(self, table: str) -> bool:
        """Whether what happened to a row of a table happened to a row of the root."""
        said = table in mentioned(self.frame)
        return table == self.root or said or self.is_one(table) or self.world.is_transaction(table)

    def _dates(self, table: str) -> list[tuple[str, str]]:
        """The dates of a table that a time may be about: the one that bears its name, or all."""
        names = [column.name for column in self.world.dates(table)]
        if not self.world.is_transaction(table):
            names = [name for name in names if not _stems(name) & english.AUDIT]
        own = {stem(word) for word in noun(self.world.table(table).bare)}
        best = [name for name in names if _is_of(name, own) or words_of_name(name) == ("date",)]
        return [(table, name) for name in self._given(table, best or names)]

    def _given(self, table: str, names: list[str]) -> list[str]:
        """Of several dates the one that every row has: when it came about, not what became of it."""
        given = [name for name in names if not self.world.column(table, name).nullable]
        return given if len(given) == 1 else names


def _is_of(name: str, own: set[str]) -> bool:
    """Whether the name of a column has the name of its table in it, in full or its beginning."""
    said = _stems(name)
    short = {word for word in said if len(word) >= _SHORTEST}
    return bool(said & own) or any(table.startswith(word) for table in own for word in short)


_SHORTEST = 4


def _stems(name: str) -> set[str]:
    return {stem(word) for word in words_of_name(name)}


def bound_to(apply: Callable[[Builder, Path], None], path: Path) -> Callable[[Builder], None]:
    """The change of a question, for one path."""
    return lambda builder: apply(builder, path)
