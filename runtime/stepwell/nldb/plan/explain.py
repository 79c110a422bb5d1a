"""A plan in words, made of nothing but the plan."""

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

_SAID = {
    "=": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
    "contains": "contains",
    "starts": "begins with",
    "ends": "ends with",
    "is null": "is empty",
    "is not null": "is not empty",
}
_AGGREGATES = {
    "count": "number of {}",
    "count distinct": "number of different {}",
    "sum": "sum of {}",
    "avg": "average of {}",
    "min": "lowest {}",
    "max": "highest {}",
}


class Explanation(Struct, frozen=True):
    """What a plan does: one sentence, the tables and filters it has, and what it assumes."""

    summary: str
    tables: tuple[str, ...]
    filters: tuple[str, ...]
    assumptions: tuple[str, ...]


def explain(plan: Plan) -> Explanation:
    """The plan in words."""
    match plan:
        case Select():
            return Explanation(_select(plan), _tables(plan), _conditions(plan), plan.assumptions)
        case Insert():
            return Explanation(_insert(plan), _written(plan), (), plan.assumptions)
        case Update():
            filters = tuple(_condition(one) for one in plan.where)
            changes = ", ".join(f"{one.column} to {_value(one.value)}" for one in plan.set)
            summary = f"In {plan.table}, sets {changes} where {' and '.join(filters)}"
            return Explanation(summary, (plan.table,), filters, plan.assumptions)
        case Delete():
            filters = tuple(_condition(one) for one in plan.where)
            summary = f"Deletes from {plan.table} where {' and '.join(filters)}"
            return Explanation(summary, (plan.table,), filters, plan.assumptions)


def in_words(value: Expression) -> str:
    """What an expression is."""
    return _value(value)


def _select(plan: Select) -> str:
    shown = ", ".join(_value(output.value) for output in plan.outputs)
    text = f"Reads {'different ' if plan.distinct else ''}{shown} from {plan.table}"
    if plan.joins:
        text += f" with {', '.join(join.table for join in plan.joins)}"
    if filters := _conditions(plan):
        text += f" where {' and '.join(filters)}"
    if plan.group:
        text += f", for each {', '.join(_value(one) for one in plan.group)}"
    if plan.order:
        orders = (
            f"{_value(o.value)} {'downwards' if o.descending else 'upwards'}" for o in plan.order
        )
        text += f", sorted by {', '.join(orders)}"
    if plan.limit is None:
        return text
    return f"{text}, the first {plan.limit}" + (" and those that tie" if plan.ties else "")


def _conditions(plan: Select) -> tuple[str, ...]:
    return tuple(_condition(one) for one in (*plan.where, *plan.having))


def _tables(plan: Select) -> tuple[str, ...]:
    joined = (join.table for join in (*plan.joins, *_joins_of(plan.where)))
    return tuple(dict.fromkeys([plan.table, *joined]))


def _joins_of(conditions: tuple[Condition, ...]) -> list[Join]:
    found: list[Join] = []
    for condition in conditions:
        match condition:
            case Exists():
                found += [condition.first, *condition.joins, *_joins_of(condition.where)]
            case AnyOf():
                found += _joins_of(condition.conditions)
            case Filter():
                pass
    return found


def _insert(plan: Insert) -> str:
    columns = ", ".join(plan.columns)
    if plan.select is not None:
        return f"Adds to {plan.table} ({columns}) what this gives: {_select(plan.select)}"
    rows = "; ".join(", ".join(_scalar(value) for value in row) for row in plan.rows)
    return f"Adds to {plan.table} ({columns}): {rows}"


def _written(plan: Insert) -> tuple[str, ...]:
    read = _tables(plan.select) if plan.select is not None else ()
    return tuple(dict.fromkeys([plan.table, *read]))


def _condition(condition: Condition) -> str:
    match condition:
        case Filter():
            values = " or ".join(_scalar(value) for value in condition.values)
            return f"{_value(condition.left)} {_SAID[condition.comparison]} {values}".rstrip()
        case AnyOf():
            return "(" + " or ".join(_condition(one) for one in condition.conditions) + ")"
        case Exists():
            there = "there is no" if condition.negated else "there is a"
            names = " with ".join(join.table for join in (condition.first, *condition.joins))
            inner = " and ".join(_condition(one) for one in condition.where)
            return f"{there} {names}" + (f" where {inner}" if inner else "")


def _value(value: Expression) -> str:
    match value:
        case Value():
            return _scalar(value.value)
        case Col():
            return f"{value.table}.{value.column}"
        case Part():
            return f"{value.part} of {_value(value.of)}"
        case Arithmetic():
            return f"({_value(value.left)} {value.operator} {_value(value.right)})"
        case Aggregate():
            of = "rows" if value.of is None else _value(value.of)
            return _AGGREGATES[value.function].format(of)


def _scalar(value: Scalar) -> str:
    if value is None:
        return "nothing"
    return f"'{value}'" if isinstance(value, str) else str(value)
