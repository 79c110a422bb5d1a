"""From a form that a model has filled in to the plan that it means, in one catalog.

Names are found whatever their case. Nothing that was filled in is passed over: what a verb has no
place for is a mistake, and so is every name that is not there.
"""

import re
from collections import defaultdict
from typing import Final

from msgspec import Struct

from stepwell.nldb.guard.refusals import nearest
from stepwell.nldb.model import Catalog, Table
from stepwell.nldb.plan.check import columns_of, has_aggregate
from stepwell.nldb.plan.expressions import BadExpression, read_expression
from stepwell.nldb.plan.form import Entry, Form, Set, Shown, Where
from stepwell.nldb.plan.model import (
    AnyOf,
    Assignment,
    Col,
    Condition,
    Delete,
    Exists,
    Expression,
    Filter,
    Insert,
    InvalidPlan,
    Join,
    Order,
    Output,
    Plan,
    Select,
    Update,
    Value,
)

MOST_PARTS: Final = 100
"""Of any one list of a form, but for the rows of an insert."""
MOST_ROWS: Final = 1000
_NAME: Final = re.compile(r"[^\W\d]\w{0,62}")
_ASKING: Final = frozenset(
    ("tables", "outputs", "where", "group", "order", "limit", "ties", "distinct")
)
_TAKEN: Final = {
    "select": _ASKING,
    "insert": _ASKING | {"changes", "columns", "rows"},
    "update": frozenset(("changes", "tables", "where", "set")),
    "delete": frozenset(("changes", "tables", "where")),
}


def plan_of(form: Form, catalog: Catalog) -> Plan:
    """The plan that a form means; `stepwell.nldb.plan.check` says whether it fits.

    Raises:
        InvalidPlan: a name is not there, an expression is none, or something has no place.
    """
    _refuse_misplaced(form)
    match form.verb:
        case "select":
            return _Reader(catalog).select(form)
        case "insert":
            return _insert(form, catalog)
        case "update":
            reader = _Reader(catalog)
            table = reader.written(form)
            conditions = reader.conditions(form)
            changes = tuple(reader.assignment(table, one) for one in form.set)
            if not changes:
                raise InvalidPlan("an update sets at least one column")
            return Update(table=table.name, set=changes, where=conditions)
        case "delete":
            reader = _Reader(catalog)
            table = reader.written(form)
            return Delete(table=table.name, where=reader.conditions(form))


def _refuse_misplaced(form: Form) -> None:
    for member in form.__struct_fields__:
        given = getattr(form, member)
        if given and member != "verb" and member not in _TAKEN[form.verb]:
            raise InvalidPlan(f"`{member}` has no place in a plan that is {form.verb}")
        most = MOST_ROWS if member == "rows" else MOST_PARTS
        if isinstance(given, tuple) and len(given) > most:
            raise InvalidPlan(f"`{member}` has more than {most} entries")


def _insert(form: Form, catalog: Catalog) -> Insert:
    table = _table(form.changes, catalog)
    columns = tuple(_column(table, name).column for name in form.columns)
    asks = any(getattr(form, member) for member in _ASKING)
    select = _Reader(catalog).select(form) if asks else None
    return Insert(table=table.name, columns=columns, rows=form.rows, select=select)


class _Scope(Struct):
    """Tables whose rows are looked at together: those of the question, or those that have to exist."""

    entry: Entry
    name: str
    above: "_Scope | None" = None
    first: Join | None = None
    joins: list[Join] = []
    labelled: list[tuple[str, Condition]] = []

    def is_below(self, other: "_Scope") -> bool:
        """Whether the names of another scope are known in this one."""
        return self is other or (self.above is not None and self.above.is_below(other))


class _Reader:
    """Reads one form; it knows the tables that were read by their names in the plan."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tables: dict[str, Table] = {}
        self._scopes: dict[str, _Scope] = {}
        self._columns: dict[str, Col] = {}
        self._outputs: dict[str, Expression] = {}

    def select(self, form: Form) -> Select:
        """The question that a form asks."""
        first = self._root(form)
        self._read_tables(form.tables[1:])
        outputs = tuple(self._output(one) for one in form.outputs)
        where, having = self._conditions(form.where)
        group = tuple(self._shown(text) for text in form.group)
        order = tuple(Order(self._shown(one.value), one.descending) for one in form.order)
        if form.limit < 0:
            raise InvalidPlan("a limit is at least one row; 0 is none")
        return Select(
            table=first.entry.table,
            name=first.name,
            joins=tuple(first.joins),
            outputs=outputs,
            where=where,
            group=group,
            having=having,
            order=order,
            limit=form.limit or None,
            ties=form.ties,
            distinct=form.distinct,
        )

    def written(self, form: Form) -> Table:
        """The table that a form changes, known by its own name."""
        table = _table(form.changes, self._catalog)
        self._enter(_Scope(Entry(table=table.name), table.name), table.name, table)
        self._tables[table.bare.lower()] = table  # no other table can take this name
        for entry in form.tables:
            if entry.how not in ("exists", "not exists"):
                raise InvalidPlan(
                    f"a change is of one table, {table.name}: others may only `exists` in its conditions"
                )
        self._read_tables(form.tables)
        return table

    def conditions(self, form: Form) -> tuple[Condition, ...]:
        """The conditions of a change."""
        where, having = self._conditions(form.where)
        if having:
            raise InvalidPlan("a change has no condition on an aggregate")
        return where

    def assignment(self, table: Table, one: Set) -> Assignment:
        """What a column of the written table becomes."""
        column = _column(table, one.column).column
        if not one.expression:
            return Assignment(column, Value(one.value))
        if one.value is not None:
            raise InvalidPlan(f"`set` of {column} has a value and an expression; give one of them")
        return Assignment(column, self._shown(one.expression))

    # Tables.

    def _root(self, form: Form) -> _Scope:
        if not form.tables or form.tables[0].how != "from":
            raise InvalidPlan("the first of `tables` is the one that rows are read `from`")
        entry = form.tables[0]
        if entry.on or entry.any:
            raise InvalidPlan("the table that is read `from` has neither `on` nor `any`")
        table = _table(entry.table, self._catalog)
        named = _name_of(entry, table)
        scope = _Scope(Entry(table=table.name), named)
        self._enter(scope, named, table)
        return scope

    def _read_tables(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            table = _table(entry.table, self._catalog)
            name = _name_of(entry, table)
            self._columns.update(_columns(name, table))
            self._refuse_taken(name)
            self._tables[name.lower()] = table
            join = self._join(entry, name, table)
            there = self._scopes[join.to.lower()]
            match entry.how:
                case "from":
                    raise InvalidPlan("only the first of `tables` is read `from`")
                case "join" | "outer join":
                    self._scopes[name.lower()] = there
                    self._add_join(there, join, entry)
                case "exists" | "not exists":
                    self._scopes[name.lower()] = _Scope(entry, name, there, join)

    def _add_join(self, there: _Scope, join: Join, entry: Entry) -> None:
        if entry.any:
            raise InvalidPlan("only conditions and tables that have to exist are alternatives")
        if join.outer and there.above is not None:
            raise InvalidPlan("a table that has to exist is joined by `join`, not by `outer join`")
        there.joins.append(join)

    def _join(self, entry: Entry, name: str, table: Table) -> Join:
        """The join of a table that has just been named; its pairs may be written either way round."""
        outer = entry.how == "outer join"
        if not entry.on:
            first = next(iter(self._scopes.values()))
            return Join(table.name, name, first.name, (), outer)
        pairs: list[tuple[str, str]] = []
        others: set[str] = set()
        for pair in entry.on:
            sides = [self._named(pair.column), self._named(pair.equals)]
            own = [side for side in sides if side.table == name]
            other = [side for side in sides if side.table != name]
            if len(own) != 1 or other[0].table.lower() not in self._scopes:
                raise InvalidPlan(
                    f"`on` of {name} pairs a column of {name} with one of a table before it"
                )
            pairs.append((other[0].column, own[0].column))
            others.add(other[0].table)
        if len(others) != 1:
            raise InvalidPlan(f"`on` of {name} is about more than one other table")
        return Join(table.name, name, others.pop(), tuple(pairs), outer)

    def _enter(self, scope: _Scope, name: str, table: Table) -> None:
        self._refuse_taken(name)
        self._tables[name.lower()] = table
        self._scopes[name.lower()] = scope
        self._columns.update(_columns(name, table))

    def _refuse_taken(self, name: str) -> None:
        if name.lower() in self._tables:
            raise InvalidPlan(f"two tables of the plan have the name {name}; give one another name")

    # Conditions.

    def _conditions(
        self, filters: tuple[Where, ...]
    ) -> tuple[tuple[Condition, ...], tuple[Filter, ...]]:
        having: list[Filter] = []
        for one in filters:
            read = Filter(self._expression(one.value), one.comparison, one.values, one.ignore_case)
            if not has_aggregate(read.left):
                self._home(read.left).labelled.append((one.any, read))
            elif one.any:
                raise InvalidPlan("conditions on aggregates are no alternatives; write SQL")
            else:
                self._refuse_inner(read.left)
                having.append(read)
        root = next(iter(self._scopes.values()))
        return self._conditions_of(root), tuple(having)

    def _conditions_of(self, scope: _Scope) -> tuple[Condition, ...]:
        inner = {id(one): one for one in self._scopes.values() if one.above is scope}
        found = [*scope.labelled, *((one.entry.any, self._exists(one)) for one in inner.values())]
        alternatives: dict[str, list[Condition]] = defaultdict(list)
        for label, condition in found:
            if label:
                alternatives[label].append(condition)
        alone = [condition for label, condition in found if not label]
        return (*alone, *(AnyOf(tuple(those)) for those in alternatives.values()))

    def _exists(self, scope: _Scope) -> Exists:
        assert scope.first is not None, "a scope below another one is joined to it"
        where = self._conditions_of(scope)
        return Exists(scope.first, tuple(scope.joins), where, scope.entry.how == "not exists")

    def _home(self, value: Expression) -> _Scope:
        """The innermost scope of the tables that an expression reads."""
        home = next(iter(self._scopes.values()))
        for column in columns_of(value):
            scope = self._scopes[column.table.lower()]
            if scope.is_below(home):
                home = scope
            elif not home.is_below(scope):
                raise InvalidPlan(
                    f"one condition is about {home.name} and {scope.name}, which exist apart"
                )
        return home

    # Expressions.

    def _output(self, one: Shown) -> Output:
        name = one.name or one.value
        value = self._shown(one.value)
        if name.lower() in self._outputs:
            raise InvalidPlan(f"two outputs have the name {name:.60}")
        self._outputs[name.lower()] = value
        return Output(value, name)

    def _shown(self, text: str) -> Expression:
        """An expression of the question's own tables, or an output by its name."""
        known = self._outputs.get(text.lower())
        value = self._expression(text) if known is None else known
        self._refuse_inner(value)
        return value

    def _refuse_inner(self, value: Expression) -> None:
        for column in columns_of(value):
            scope = self._scopes[column.table.lower()]
            if scope.above is not None:
                raise InvalidPlan(
                    f"{column.table} only has to exist: its columns can stand in conditions, nowhere else"
                )

    def _expression(self, text: str) -> Expression:
        plain = self._columns.get(text.strip().lower())
        if plain is not None:
            return plain
        try:
            return read_expression(text, self._column)
        except BadExpression as error:
            raise InvalidPlan(f"{text[:60]!r}: {error}") from error

    def _named(self, text: str) -> Col:
        """One column and nothing else."""
        value = self._expression(text)
        if not isinstance(value, Col):
            raise InvalidPlan(f"{text[:60]!r} is no column; write table.column")
        return value

    def _column(self, name: str, column: str) -> Col:
        if name:
            return self._columns.get(f"{name}.{column}".lower()) or self._missing(name, column)
        known = {one for one in self._columns.values() if one.column.lower() == column.lower()}
        if len(known) == 1:
            return known.pop()
        if known:
            raise BadExpression(f"several tables have a column {column}; write table.column")
        return self._missing("", column)

    def _missing(self, name: str, column: str) -> Col:
        if name and name.lower() not in self._tables:
            tables = ", ".join(sorted(self._tables))
            raise BadExpression(f"no table of the plan is called {name:.60}, there are {tables}")
        said = f"{name}.{column}" if name else column
        known = self._columns.values()
        hint = nearest(said, (f"{o.table}.{o.column}" if name else o.column for o in known))
        raise BadExpression(f"there is no column {said:.120}" + (f"; {hint}" if hint else ""))


def _columns(name: str, table: Table) -> dict[str, Col]:
    """The columns by what they may be called: a table without another name also with its schema."""
    names = {name} if name not in (table.bare, table.name) else {table.bare, table.name}
    return {
        f"{called}.{one.name}".lower(): Col(name, one.name)
        for called in names
        for one in table.columns
    }


def _table(name: str, catalog: Catalog) -> Table:
    if name in catalog.tables:
        return catalog.tables[name]
    found = [one for key, one in catalog.tables.items() if key.lower() == name.lower()]
    if len(found) == 1:
        return found[0]
    hint = nearest(name, catalog.tables)
    raise InvalidPlan(f"there is no table {name:.120}" + (f"; {hint}" if hint else ""))


def _column(table: Table, name: str) -> Col:
    bare = name.rpartition(".")[2].lower()
    for column in table.columns:
        if column.name.lower() in (bare, name.lower()):
            return Col(table.name, column.name)
    hint = nearest(name, (column.name for column in table.columns))
    message = f"the table {table.name} has no column {name:.60}"
    raise InvalidPlan(message + (f"; {hint}" if hint else ""))


def _name_of(entry: Entry, table: Table) -> str:
    """What a plan calls a table: nothing that could be anything but a name."""
    if not entry.name or entry.name.lower() == table.bare.lower():
        return table.bare
    if not _NAME.fullmatch(entry.name):
        raise InvalidPlan(f"{entry.name[:60]!r} is no name for a table: take letters and digits")
    return entry.name
