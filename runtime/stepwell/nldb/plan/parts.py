"""What a plan is made of: the names, the values and the operations in it.

Whoever says that a word of a question became a part of a plan can be held to it.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

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
    Join,
    Part,
    Plan,
    Scalar,
    Select,
    Update,
    Value,
)

_CALLED: Final[dict[str, tuple[str, ...]]] = {
    "count": ("count", "number"),
    "count distinct": ("count", "number", "distinct", "different"),
    "sum": ("sum", "total"),
    "avg": ("avg", "average", "mean"),
    "min": ("min", "minimum", "lowest"),
    "max": ("max", "maximum", "highest"),
    "!=": ("not",),
    "is null": ("null", "empty", "without"),
    "is not null": ("null", "empty", "with"),
    "contains": ("contains",),
    "starts": ("starts", "begins"),
    "ends": ("ends",),
    "insert": ("insert", "add", "new"),
    "update": ("update", "set", "change"),
    "delete": ("delete", "remove"),
}
"""What an operation may be called. Signs are no names: any text may hold one."""


class Parts(Struct, frozen=True):
    """The tables and columns, the values as texts, and what the operations are called."""

    names: frozenset[str]
    values: frozenset[str]
    operations: frozenset[str]


def parts_of(plan: Plan) -> Parts:
    """Everything that a plan has in it."""
    collector = _Collector()
    collector.plan(plan)
    return Parts(
        frozenset(collector.names), frozenset(collector.values), frozenset(collector.operations)
    )


class _Collector:
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.values: set[str] = set()
        self.operations: set[str] = set()

    def plan(self, plan: Plan) -> None:
        match plan:
            case Select():
                self._select(plan)
            case Insert():
                self._operation("insert")
                self.names.update((plan.table, *plan.columns))
                self._values(value for row in plan.rows for value in row)
                if plan.select is not None:
                    self._select(plan.select)
            case Update():
                self._operation("update")
                self.names.update((plan.table, *(one.column for one in plan.set)))
                for one in plan.set:
                    self._expression(one.value)
                self._conditions(plan.where)
            case Delete():
                self._operation("delete")
                self.names.add(plan.table)
                self._conditions(plan.where)

    def _select(self, plan: Select) -> None:
        self.names.update((plan.table, plan.name))
        self._joins(plan.joins)
        self.names.update(output.name for output in plan.outputs)
        for value in _shown(plan):
            self._expression(value)
        self._conditions(plan.where)
        self._conditions(plan.having)
        has = {
            ("group", "each", "per"): bool(plan.group),
            ("order", "sort", "sorted"): bool(plan.order),
            ("limit", "first", "top"): plan.limit is not None,
            ("ties",): plan.ties,
            ("distinct", "different"): plan.distinct,
            ("ascending",): any(not one.descending for one in plan.order),
            ("descending",): any(one.descending for one in plan.order),
        }
        self.operations.update(
            name for names, is_there in has.items() if is_there for name in names
        )
        if plan.limit is not None:
            self._values((plan.limit,))

    def _joins(self, joins: Iterable[Join]) -> None:
        for join in joins:
            self.names.update((join.table, join.name))
            self.operations.update(("join", "outer") if join.outer else ("join",))

    def _conditions(self, conditions: Iterable[Condition]) -> None:
        for condition in conditions:
            match condition:
                case Filter():
                    self._operation(condition.comparison)
                    self._expression(condition.left)
                    self._values(condition.values)
                case AnyOf():
                    self.operations.add("or")
                    self._conditions(condition.conditions)
                case Exists():
                    self._joins((condition.first, *condition.joins))
                    self._conditions(condition.where)
                    found = ("not", "no", "without", "never") if condition.negated else ("exists",)
                    self.operations.update(found)

    def _expression(self, value: Expression) -> None:
        match value:
            case Value():
                self._values((value.value,))
            case Col():
                self.names.update((value.column, f"{value.table}.{value.column}"))
            case Part():
                self.operations.add(value.part)
                self._expression(value.of)
            case Arithmetic():
                self._expression(value.left)
                self._expression(value.right)
            case Aggregate():
                self._operation(value.function)
                if value.of is not None:
                    self._expression(value.of)

    def _operation(self, name: str) -> None:
        self.operations.update(_CALLED.get(name, ()))

    def _values(self, values: Iterable[Scalar]) -> None:
        self.values.update(str(value) for value in values if value is not None and value != "")


def _shown(plan: Select) -> Iterator[Expression]:
    yield from (output.value for output in plan.outputs)
    yield from plan.group
    yield from (order.value for order in plan.order)
