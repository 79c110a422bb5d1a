"""Metrics as authors write them, `sum(unit_price * quantity)`, read into expressions of a plan.

SQL is parsed and nothing of it is kept: only aggregates, columns of one table, numbers and the
four operations come through.
"""

from typing import Literal

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from stepwell.nldb.model import Table
from stepwell.nldb.plan.model import Aggregate, Arithmetic, Col, Expression, Function, Value

MOST_CHARACTERS = 500
_AGGREGATES: dict[type[exp.Expr], Function] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}
_OPERATORS: dict[type[exp.Expr], Literal["+", "-", "*", "/"]] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
}


class BadMetric(Exception):
    """The expression is none; the text says why, `word` is a column that is not there."""

    def __init__(self, message: str, word: str = "") -> None:
        super().__init__(message)
        self.word = word


def read_metric(text: str, table: Table) -> Expression:
    """The expression over a table's columns; every column is in an aggregate.

    Raises:
        BadMetric: it cannot be read, names a column that is not there, or says more than it may.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadMetric(f"an expression has at most {MOST_CHARACTERS} characters")
    try:
        tree = parse_one(text, dialect="sqlite")
    except (SqlglotError, RecursionError) as error:
        raise BadMetric("this is no expression") from error
    return _read(tree, table, inside=False)


def _read(node: exp.Expr, table: Table, *, inside: bool) -> Expression:
    if isinstance(node, exp.Paren):
        return _read(node.this, table, inside=inside)
    if isinstance(node, exp.Literal) and not node.is_string:
        return Value(float(node.this) if "." in node.this else int(node.this))
    if operator := _OPERATORS.get(type(node)):
        left = _read(node.this, table, inside=inside)
        return Arithmetic(operator, left, _read(node.expression, table, inside=inside))
    if isinstance(node, exp.Column):
        return _column(node, table, inside=inside)
    return _aggregate(node, table, inside=inside)


def _column(node: exp.Column, table: Table, *, inside: bool) -> Col:
    name = node.name
    known = {column.name.lower(): column.name for column in table.columns}
    if node.table and node.table.lower() != table.bare.lower():
        raise BadMetric(f"a metric reads one table, {table.name}, not {node.table}")
    if name.lower() not in known:
        raise BadMetric(f"the table {table.name} has no column {name}", name)
    if not inside:
        raise BadMetric(f"the column {name} stands alone: say sum, avg, min, max or count of it")
    return Col(table.bare, known[name.lower()])


def _aggregate(node: exp.Expr, table: Table, *, inside: bool) -> Aggregate:
    if inside and isinstance(node, exp.Count | exp.Sum | exp.Avg | exp.Min | exp.Max):
        raise BadMetric("an aggregate cannot be in another one")
    if isinstance(node, exp.Count):
        if isinstance(node.this, exp.Star):
            return Aggregate("count")
        if isinstance(node.this, exp.Distinct) and len(node.this.expressions) == 1:
            return Aggregate("count distinct", _read(node.this.expressions[0], table, inside=True))
        if isinstance(node.this, exp.Expr) and not isinstance(node.this, exp.Distinct):
            return Aggregate("count", _read(node.this, table, inside=True))
    if (function := _AGGREGATES.get(type(node))) and not isinstance(node.this, exp.Distinct):
        if node.expressions:
            raise BadMetric(f"{function} is of one thing")
        return Aggregate(function, _read(node.this, table, inside=True))
    raise BadMetric(f"{node.key} is not possible in a metric", "")
