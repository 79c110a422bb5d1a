"""Whether a plan fits a catalog, and whether it would count a row more than once."""

from collections.abc import Iterable, Iterator

from stepwell.nldb.model import Catalog
from stepwell.nldb.plan.model import (
    Aggregate,
    AnyOf,
    Arithmetic,
    Col,
    Condition,
    Delete,
    Exists,
    Expression,
    Filter,
    Insert,
    InvalidPlan,
    Join,
    Part,
    Plan,
    Select,
    Update,
    Value,
)


def check(plan: Plan, catalog: Catalog) -> None:
    """Nothing, when the plan fits.

    Raises:
        InvalidPlan: a table or column is not there, a join follows no foreign key, an aggregate
            would see a row more than once, a value has no place.
    """
    match plan:
        case Select():
            _Checker(catalog).select(plan)
        case Insert():
            _insert(plan, catalog)
        case Update():
            checker = _Checker(catalog)
            checker.enter(plan.table, plan.table)
            for one in plan.set:
                checker.column(plan.table, one.column)
                checker.expression(one.value, aggregates=False)
            _where(plan.where, checker)
        case Delete():
            checker = _Checker(catalog)
            checker.enter(plan.table, plan.table)
            _where(plan.where, checker)


def _where(conditions: tuple[Condition, ...], checker: "_Checker") -> None:
    if not conditions:
        raise InvalidPlan("a change needs a condition that says which rows are meant")
    checker.conditions(conditions)


def _insert(plan: Insert, catalog: Catalog) -> None:
    checker = _Checker(catalog)
    checker.enter(plan.table, plan.table)
    for column in plan.columns:
        checker.column(plan.table, column)
    if len(set(plan.columns)) < len(plan.columns) or not plan.columns:
        raise InvalidPlan("an insert names each of its columns once, and at least one")
    if (plan.select is None) == (not plan.rows):
        raise InvalidPlan("an insert has either rows or a question that gives them")
    if any(len(row) != len(plan.columns) for row in plan.rows):
        raise InvalidPlan("each row has a value for each column")
    if plan.select is not None:
        if len(plan.select.outputs) != len(plan.columns):
            raise InvalidPlan("the question of an insert gives as many columns as it names")
        _Checker(catalog, crosses=True).select(plan.select)


class _Checker:
    def __init__(self, catalog: Catalog, *, crosses: bool = False) -> None:
        """With `crosses` tables may stand side by side, as the two ends of a new pair do."""
        self._catalog = catalog
        self._crosses = crosses
        self._names: dict[str, str] = {}

    def enter(self, table: str, name: str) -> None:
        if table not in self._catalog.tables:
            raise InvalidPlan(f"there is no table {table}")
        if not name or name in self._names:
            raise InvalidPlan(f"two tables of the plan have the name {name!r}")
        self._names[name] = table

    def column(self, name: str, column: str) -> None:
        table = self._catalog.tables[self._names[name]] if name in self._names else None
        if table is None or all(c.name != column for c in table.columns):
            raise InvalidPlan(f"there is no column {name}.{column}")

    def select(self, plan: Select) -> None:
        self.enter(plan.table, plan.name)
        for join in plan.joins:
            self._join(join)
        if not plan.outputs:
            raise InvalidPlan("a question has at least one output")
        for value in _expressions_of(plan):
            self.expression(value, aggregates=True)
        self.conditions(plan.where)
        if plan.limit is not None and plan.limit < 1:
            raise InvalidPlan("a limit is at least one row")
        if plan.ties and (plan.limit is None or not plan.order or plan.distinct):
            raise InvalidPlan("ties need an order and a limit, and no distinct")
        _check_grouping(plan)
        self._check_fan_out(plan)

    def _join(self, join: Join) -> None:
        for theirs, _ in join.on:
            self.column(join.to, theirs)
        self.enter(join.table, join.name)
        for _, own in join.on:
            self.column(join.name, own)
        if self._crosses and not join.on:
            return
        if not is_foreign_key(self._catalog, self._names[join.to], join.table, join.on):
            raise InvalidPlan(
                f"no foreign key joins {self._names[join.to]} and {join.table} like this"
            )

    def conditions(self, conditions: Iterable[Condition]) -> None:
        for condition in conditions:
            match condition:
                case Filter():
                    self._filter(condition)
                case AnyOf():
                    if not condition.conditions:
                        raise InvalidPlan("`any` needs at least one condition")
                    self.conditions(condition.conditions)
                case Exists():
                    inner = _Checker(self._catalog)
                    inner._names = dict(self._names)
                    for join in (condition.first, *condition.joins):
                        inner._join(join)
                    inner.conditions(condition.where)

    def _filter(self, condition: Filter) -> None:
        self.expression(condition.left, aggregates=False)
        _check_values(condition)

    def expression(self, value: Expression, *, aggregates: bool) -> None:
        match value:
            case Col():
                self.column(value.table, value.column)
            case Part():
                self.column(value.of.table, value.of.column)
            case Arithmetic():
                self.expression(value.left, aggregates=aggregates)
                self.expression(value.right, aggregates=aggregates)
            case Aggregate():
                if not aggregates:
                    raise InvalidPlan("an aggregate cannot stand here")
                if value.of is None and value.function != "count":
                    raise InvalidPlan(f"{value.function} needs to know of what")
                if value.of is not None:
                    self.expression(value.of, aggregates=False)
            case Value():
                pass

    def _check_fan_out(self, plan: Select) -> None:
        """Each row of an aggregated table is there once: every other table is named by it."""
        doubled = {
            join.name: join
            for join in plan.joins
            if not is_to_one(self._catalog, join.table, tuple(own for _, own in join.on))
        }
        if not doubled:
            return
        lasting = {plan.name, *(join.name for join in plan.joins)}
        for join in doubled.values():
            lasting &= _below(join.name, plan.joins)
        for value in _expressions_of(plan):
            for aggregate in _aggregates(value):
                if aggregate.function in ("min", "max", "count distinct"):
                    continue
                tables = {col.table for col in columns_of(aggregate)} or {plan.name}
                if not tables & lasting:
                    names = ", ".join(sorted(tables))
                    raise InvalidPlan(
                        f"a join repeats the rows of {names}, so {aggregate.function} would be wrong"
                    )


def _below(name: str, joins: tuple[Join, ...]) -> set[str]:
    """The table and all that were joined to it by further joins."""
    found = {name}
    for join in joins:
        if join.to in found:
            found.add(join.name)
    return found


def _check_values(condition: Filter) -> None:
    count = len(condition.values)
    wanted = {"is null": count == 0, "is not null": count == 0, "=": count > 0, "!=": count > 0}
    if not wanted.get(condition.comparison, count == 1):
        raise InvalidPlan(f"`{condition.comparison}` cannot be with {count} values")
    if None in condition.values:
        raise InvalidPlan("nothing is compared with null; say `is null`")


def _check_grouping(plan: Select) -> None:
    values = [output.value for output in plan.outputs] + [order.value for order in plan.order]
    if not plan.group and not any(has_aggregate(value) for value in values) and not plan.having:
        return
    if plan.distinct:
        raise InvalidPlan("groups are distinct already")
    for value in values:
        if not has_aggregate(value) and value not in plan.group and columns_of(value):
            raise InvalidPlan("what is neither grouped by nor aggregated has no one value")


def _expressions_of(plan: Select) -> Iterator[Expression]:
    yield from (output.value for output in plan.outputs)
    yield from plan.group
    yield from (order.value for order in plan.order)
    for condition in plan.having:
        _check_values(condition)
        yield condition.left


def has_aggregate(value: Expression) -> bool:
    """Whether an expression is of many rows."""
    return bool(list(_aggregates(value)))


def _aggregates(value: Expression) -> Iterator[Aggregate]:
    match value:
        case Aggregate():
            yield value
        case Arithmetic():
            yield from _aggregates(value.left)
            yield from _aggregates(value.right)
        case _:
            pass


def columns_of(value: Expression) -> list[Col]:
    """The columns that an expression reads."""
    match value:
        case Col():
            return [value]
        case Part():
            return [value.of]
        case Arithmetic():
            return columns_of(value.left) + columns_of(value.right)
        case Aggregate():
            return [] if value.of is None else columns_of(value.of)
        case Value():
            return []


def is_foreign_key(
    catalog: Catalog, there: str, joined: str, on: tuple[tuple[str, str], ...]
) -> bool:
    """Whether pairs of (column of the one, column of the other) are a foreign key, either way."""
    pairs = set(on)
    forth = any(
        key.table == joined and set(zip(key.columns, key.referred, strict=True)) == pairs
        for key in catalog.tables[there].foreign_keys
    )
    back = any(
        key.table == there and set(zip(key.referred, key.columns, strict=True)) == pairs
        for key in catalog.tables[joined].foreign_keys
    )
    return forth or back


def is_to_one(catalog: Catalog, table: str, columns: tuple[str, ...]) -> bool:
    """Whether values of these columns name at most one row of the table."""
    known = catalog.tables[table]
    given = set(columns)
    return any(key and set(key) <= given for key in (known.primary_key, *known.unique))
