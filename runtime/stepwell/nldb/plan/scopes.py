"""The tables of a form by their names in the plan, and which of them are looked at together.

The tables of a question are one scope. A table that has to exist, or must not, opens another one
below it, to which the tables belong that are joined to it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from stepwell.nldb.guard.refusals import nearest
from stepwell.nldb.model import Catalog, Table
from stepwell.nldb.plan.check import columns_of
from stepwell.nldb.plan.expressions import BadExpression, read_expression
from stepwell.nldb.plan.form import Entry, Pair
from stepwell.nldb.plan.model import Col, Condition, Expression, InvalidPlan, Join

_NAME: Final = re.compile(r"[^\W\d]\w{0,62}")


class Scope(Struct):
    """Tables whose rows are looked at together, and the conditions on them by their labels."""

    table: str
    name: str
    above: "Scope | None" = None
    first: Join | None = None
    """How it is joined to the scope above it."""
    label: str = ""
    negated: bool = False
    joins: list[Join] = []
    conditions: list[tuple[str, Condition]] = []

    def is_below(self, other: "Scope") -> bool:
        """Whether it is the other one, or knows its names."""
        return self is other or (self.above is not None and self.above.is_below(other))


class Scopes:
    """Reads the tables of one form, and what is said of their columns."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._taken: set[str] = set()
        self._scopes: dict[str, Scope] = {}
        self._columns: dict[str, Col] = {}

    @property
    def root(self) -> Scope:
        """The scope of the question, or of the table that is changed."""
        return next(iter(self._scopes.values()))

    def below(self, scope: Scope) -> Iterator[Scope]:
        """The scopes that a scope opens, in their order."""
        found = {id(one): one for one in self._scopes.values() if one.above is scope}
        yield from found.values()

    # Tables.

    def read_from(self, entry: Entry) -> None:
        """The table that rows are read from.

        Raises:
            InvalidPlan: it is not there, or is joined to something.
        """
        if entry.on or entry.any:
            raise InvalidPlan("the table that is read `from` has neither `on` nor `any`")
        table = table_of(entry.table, self._catalog)
        name = _name_of(entry, table)
        self._enter(name, table)
        self._scopes[name.lower()] = Scope(table.name, name)

    def write(self, table: Table) -> None:
        """The table that is changed: known by its own name, which no other table can take."""
        self._enter(table.name, table)
        self._taken.add(table.bare.lower())
        self._scopes[table.name.lower()] = Scope(table.name, table.name)

    def join(self, entries: Iterable[Entry]) -> None:
        """Further tables, each along a foreign key to one before it.

        Raises:
            InvalidPlan: one is not there, or cannot be joined as it says.
        """
        for entry in entries:
            table = table_of(entry.table, self._catalog)
            name = _name_of(entry, table)
            self._enter(name, table)
            join = self._joined(entry, name, table)
            there = self._scopes[join.to.lower()]
            match entry.how:
                case "from":
                    raise InvalidPlan("only the first of `tables` is read `from`")
                case "join" | "outer join":
                    _refuse_misjoined(entry, there)
                    there.joins.append(join)
                    self._scopes[name.lower()] = there
                case "exists" | "not exists":
                    negated = entry.how == "not exists"
                    below = Scope(table.name, name, there, join, entry.any, negated)
                    self._scopes[name.lower()] = below

    def _joined(self, entry: Entry, name: str, table: Table) -> Join:
        outer = entry.how == "outer join"
        if not entry.on:
            return Join(table.name, name, self.root.name, (), outer)
        pairs = [self._pair(pair, name) for pair in entry.on]
        others = {there.table for there, _ in pairs}
        if len(others) != 1:
            raise InvalidPlan(f"`on` of {name} is about more than one other table")
        on = tuple((there.column, own.column) for there, own in pairs)
        return Join(table.name, name, others.pop(), on, outer)

    def _pair(self, pair: Pair, name: str) -> tuple[Col, Col]:
        """A column of a table before, and one of the table itself; they may be written either way."""
        one, other = self._named(pair.column), self._named(pair.equals)
        there, own = (other, one) if one.table == name else (one, other)
        if own.table != name or there.table.lower() not in self._scopes:
            raise InvalidPlan(
                f"`on` of {name} pairs a column of {name} with one of a table before it"
            )
        return there, own

    def _enter(self, name: str, table: Table) -> None:
        if name.lower() in self._taken:
            raise InvalidPlan(f"two tables of the plan have the name {name}; give one another name")
        self._taken.add(name.lower())
        self._columns.update(_columns(name, table))

    # Expressions.

    def expression(self, text: str) -> Expression:
        """What a text says of the columns.

        Raises:
            InvalidPlan: it is no expression, or names a column that is not there.
        """
        plain = self._columns.get(text.strip().lower())
        if plain is not None:
            return plain
        try:
            return read_expression(text, self._column)
        except BadExpression as error:
            raise InvalidPlan(f"{text[:60]!r}: {error}") from error

    def home(self, value: Expression) -> Scope:
        """The innermost scope of the tables that an expression reads.

        Raises:
            InvalidPlan: it reads tables that exist apart.
        """
        home = self.root
        for column in columns_of(value):
            scope = self._scopes[column.table.lower()]
            if scope.is_below(home):
                home = scope
            elif not home.is_below(scope):
                raise InvalidPlan(
                    f"one condition is about {home.name} and {scope.name}, which exist apart"
                )
        return home

    def refuse_inner(self, value: Expression) -> None:
        """Nothing, when an expression reads tables of the question itself only.

        Raises:
            InvalidPlan: it reads one that only has to exist.
        """
        for column in columns_of(value):
            if self._scopes[column.table.lower()] is not self.root:
                raise InvalidPlan(
                    f"{column.table} only has to exist: its columns can stand in conditions, nowhere else"
                )

    def _named(self, text: str) -> Col:
        """One column and nothing else."""
        value = self.expression(text)
        if not isinstance(value, Col):
            raise InvalidPlan(f"{text[:60]!r} is no column; write table.column")
        return value

    def _column(self, name: str, column: str) -> Col:
        if name:
            return self._columns.get(f"{name}.{column}".lower()) or self._missing(name, column)
        known = {one for one in self._columns.values() if one.column.lower() == column.lower()}
        if len(known) > 1:
            raise BadExpression(f"several tables have a column {column}; write table.column")
        return known.pop() if known else self._missing("", column)

    def _missing(self, name: str, column: str) -> Col:
        if name and name.lower() not in self._taken:
            tables = ", ".join(sorted(self._taken))
            raise BadExpression(f"no table of the plan is called {name:.60}, there are {tables}")
        said = f"{name}.{column}" if name else column
        known = self._columns.values()
        hint = nearest(said, (f"{o.table}.{o.column}" if name else o.column for o in known))
        raise BadExpression(_with(f"there is no column {said:.120}", hint))


def table_of(name: str, catalog: Catalog) -> Table:
    """A table by its name, whatever its case.

    Raises:
        InvalidPlan: it is not there.
    """
    if name in catalog.tables:
        return catalog.tables[name]
    found = [one for key, one in catalog.tables.items() if key.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    raise InvalidPlan(_with(f"there is no table {name:.120}", nearest(name, catalog.tables)))


def column_of(table: Table, name: str) -> str:
    """A column of the table by its name, whatever its case, with or without that of the table.

    Raises:
        InvalidPlan: it is not there.
    """
    known = {column.name.lower(): column.name for column in table.columns}
    bare = (
        name.lower().removeprefix(f"{table.name.lower()}.").removeprefix(f"{table.bare.lower()}.")
    )
    if name.lower() in known or bare in known:
        return known.get(name.lower()) or known[bare]
    message = f"the table {table.name} has no column {name:.60}"
    raise InvalidPlan(_with(message, nearest(name, known.values())))


def _refuse_misjoined(entry: Entry, there: Scope) -> None:
    if entry.any:
        raise InvalidPlan("only conditions and tables that have to exist are alternatives")
    if entry.how == "outer join" and there.above is not None:
        raise InvalidPlan("a table that has to exist is joined by `join`, not by `outer join`")


def _columns(name: str, table: Table) -> dict[str, Col]:
    """The columns by what they may be called: a table without another name also with its schema."""
    names = {name} if name not in (table.bare, table.name) else {table.bare, table.name}
    return {
        f"{called}.{one.name}".lower(): Col(name, one.name)
        for called in names
        for one in table.columns
    }


def _name_of(entry: Entry, table: Table) -> str:
    """What a plan calls a table: nothing that could be anything but a name."""
    if not entry.name or entry.name.lower() == table.bare.lower():
        return table.bare
    if not _NAME.fullmatch(entry.name):
        raise InvalidPlan(f"{entry.name[:60]!r} is no name for a table: take letters and digits")
    return entry.name


def _with(message: str, hint: str) -> str:
    return f"{message}; {hint}" if hint else message
