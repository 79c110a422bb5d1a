"""From a form that a model has filled in to the plan that it means, in one catalog.

Names are found whatever their case. Nothing that was filled in is passed over: what a verb has no
place for is a mistake, and so is every name that is not there.
"""

from collections import defaultdict
from typing import Final

from stepwell.nldb.model import Catalog, Table
from stepwell.nldb.plan.check import has_aggregate
from stepwell.nldb.plan.form import Form, Set, Shown, Where
from stepwell.nldb.plan.model import (
    AnyOf,
    Assignment,
    Condition,
    Delete,
    Exists,
    Expression,
    Filter,
    Insert,
    InvalidPlan,
    Order,
    Output,
    Plan,
    Select,
    Update,
    Value,
)
from stepwell.nldb.plan.scopes import Scope, Scopes, column_of, table_of

MOST_PARTS: Final = 100
"""Of any one list of a form, but for the rows of an insert."""
MOST_ROWS: Final = 1000
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
            return _Asking(form, catalog).select()
        case "insert":
            return _insert(form, catalog)
        case "update":
            return _update(form, catalog)
        case "delete":
            table = table_of(form.changes, catalog)
            return Delete(table=table.name, where=_changed(form, table, Scopes(catalog)))


def _refuse_misplaced(form: Form) -> None:
    for member in form.__struct_fields__:
        given = getattr(form, member)
        if given and member != "verb" and member not in _TAKEN[form.verb]:
            raise InvalidPlan(f"`{member}` has no place in a plan that is {form.verb}")
        most = MOST_ROWS if member == "rows" else MOST_PARTS
        if isinstance(given, tuple) and len(given) > most:
            raise InvalidPlan(f"`{member}` has more than {most} entries")


# Changes.


def _insert(form: Form, catalog: Catalog) -> Insert:
    table = table_of(form.changes, catalog)
    columns = tuple(column_of(table, name) for name in form.columns)
    asks = any(getattr(form, member) for member in _ASKING)
    select = _Asking(form, catalog).select() if asks else None
    return Insert(table=table.name, columns=columns, rows=form.rows, select=select)


def _update(form: Form, catalog: Catalog) -> Update:
    table, scopes = table_of(form.changes, catalog), Scopes(catalog)
    where = _changed(form, table, scopes)
    if not form.set:
        raise InvalidPlan("an update sets at least one column")
    changes = tuple(_assignment(one, table, scopes) for one in form.set)
    return Update(table=table.name, set=changes, where=where)


def _changed(form: Form, table: Table, scopes: Scopes) -> tuple[Condition, ...]:
    """The conditions of a change."""
    if any(entry.how not in ("exists", "not exists") for entry in form.tables):
        raise InvalidPlan(
            f"a change is of one table, {table.name}: others may only `exists` in its conditions"
        )
    scopes.write(table)
    scopes.join(form.tables)
    where, having = _conditions(form.where, scopes)
    if having:
        raise InvalidPlan("a change has no condition on an aggregate")
    return where


def _assignment(one: Set, table: Table, scopes: Scopes) -> Assignment:
    column = column_of(table, one.column)
    if not one.expression:
        return Assignment(column, Value(one.value))
    if one.value is not None:
        raise InvalidPlan(f"`set` of {column} has a value and an expression; give one of them")
    value = scopes.expression(one.expression)
    scopes.refuse_inner(value)
    return Assignment(column, value)


# Questions.


class _Asking:
    """Reads a question; an output that was read is known by its name."""

    def __init__(self, form: Form, catalog: Catalog) -> None:
        self._form = form
        self._scopes = Scopes(catalog)
        self._outputs: dict[str, Expression] = {}

    def select(self) -> Select:
        """The question."""
        form, scopes = self._form, self._scopes
        if not form.tables or form.tables[0].how != "from":
            raise InvalidPlan("the first of `tables` is the one that rows are read `from`")
        if form.limit < 0:
            raise InvalidPlan("a limit is at least one row; 0 is none")
        scopes.read_from(form.tables[0])
        scopes.join(form.tables[1:])
        outputs = tuple(map(self._output, form.outputs))
        where, having = _conditions(form.where, scopes)
        return Select(
            table=scopes.root.table,
            name=scopes.root.name,
            joins=tuple(scopes.root.joins),
            outputs=outputs,
            where=where,
            group=tuple(map(self._shown, form.group)),
            having=having,
            order=tuple(Order(self._shown(one.value), one.descending) for one in form.order),
            limit=form.limit or None,
            ties=form.ties,
            distinct=form.distinct,
        )

    def _output(self, one: Shown) -> Output:
        name = one.name or one.value
        value = self._shown(one.value)
        if name.lower() in self._outputs:
            raise InvalidPlan(f"two outputs have the name {name:.60}")
        self._outputs[name.lower()] = value
        return Output(value, name)

    def _shown(self, text: str) -> Expression:
        """An output by its name, or an expression of the question's own tables."""
        known = self._outputs.get(text.lower())
        value = self._scopes.expression(text) if known is None else known
        self._scopes.refuse_inner(value)
        return value


# Conditions.


def _conditions(
    filters: tuple[Where, ...], scopes: Scopes
) -> tuple[tuple[Condition, ...], tuple[Filter, ...]]:
    """Those on rows, and those on aggregates."""
    having: list[Filter] = []
    for one in filters:
        left = scopes.expression(one.value)
        read = Filter(left, one.comparison, one.values, one.ignore_case)
        if not has_aggregate(left):
            scopes.home(left).conditions.append((one.any, read))
        elif one.any:
            raise InvalidPlan("conditions on aggregates are no alternatives; write SQL")
        else:
            scopes.refuse_inner(left)
            having.append(read)
    return _conditions_of(scopes.root, scopes), tuple(having)


def _conditions_of(scope: Scope, scopes: Scopes) -> tuple[Condition, ...]:
    """All that hold in a scope: alone, or as the alternatives that share a label."""
    inner = ((below.label, _exists(below, scopes)) for below in scopes.below(scope))
    alone: list[Condition] = []
    alternatives: dict[str, list[Condition]] = defaultdict(list)
    for label, condition in [*scope.conditions, *inner]:
        (alternatives[label] if label else alone).append(condition)
    return (*alone, *(AnyOf(tuple(those)) for those in alternatives.values()))


def _exists(scope: Scope, scopes: Scopes) -> Exists:
    assert scope.first is not None, "a scope below another one is joined to it"
    where = _conditions_of(scope, scopes)
    return Exists(scope.first, tuple(scope.joins), where, scope.negated)
