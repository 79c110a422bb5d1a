"""Expressions as people and models write them, `sum(unit_price * quantity)`, read into a plan's.

SQL is parsed and nothing of it is kept: only aggregates, columns, parts of a time, numbers and
the four operations come through.
"""

import math
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from stepwell.nldb.plan.model import (
    Aggregate,
    Arithmetic,
    Col,
    Expression,
    Function,
    Part,
    TimePart,
    Value,
)

MOST_CHARACTERS: Final = 500
_DIGITS: Final = 18
"""Of a whole number: more are a float."""
ColumnOf: TypeAlias = Callable[[str, str], Col]
"""Finds a column by the names of its table, "" where none is written, and its own."""

_AGGREGATES: Final[dict[type[exp.Expr], Function]] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}
_OPERATORS: Final[dict[type[exp.Expr], Literal["+", "-", "*", "/"]]] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
}
_PARTS: Final[dict[type[exp.Expr], TimePart]] = {
    exp.Year: "year",
    exp.Quarter: "quarter",
    exp.Month: "month",
    exp.Day: "day",
}


class BadExpression(Exception):
    """The expression is none; the text says why, `word` is a name that is not there."""

    def __init__(self, message: str, word: str = "") -> None:
        super().__init__(message)
        self.word = word


def read_expression(text: str, column_of: ColumnOf) -> Expression:
    """The expression that a text is.

    Raises:
        BadExpression: it cannot be read, or says more than an expression may; what `column_of`
            raises for a column that is not there.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadExpression(f"an expression has at most {MOST_CHARACTERS} characters")
    try:
        return _Reader(column_of).read(parse_one(text, dialect="sqlite"), inside=False)
    except (SqlglotError, RecursionError) as error:
        raise BadExpression("this is no expression") from error


class _Reader:
    def __init__(self, column_of: ColumnOf) -> None:
        self._column_of = column_of

    def read(self, node: exp.Expr, *, inside: bool) -> Expression:
        """The expression of a node; `inside` of an aggregate there is no other one."""
        if isinstance(node, exp.Paren):
            return self.read(node.this, inside=inside)
        if (number := _number(node)) is not None:
            return Value(number)
        if operator := _OPERATORS.get(type(node)):
            left = self.read(node.this, inside=inside)
            return Arithmetic(operator, left, self.read(node.expression, inside=inside))
        if isinstance(node, exp.Column):
            return self._column(node)
        if part := _part(node):
            return self._part(part, node)
        return self._aggregate(node, inside=inside)

    def _column(self, node: exp.Column) -> Col:
        if isinstance(node.this, exp.Star) or node.args.get("db") is not None:
            raise BadExpression(f"{node.sql():.60} is no column; write table.column")
        return self._column_of(node.table, node.name)

    def _part(self, part: TimePart, node: exp.Expr) -> Part:
        of = node.expression if isinstance(node, exp.Extract) else node.this
        if not isinstance(of, exp.Column):
            raise BadExpression(f"{part} is of a column")
        return Part(part, self._column(of))

    def _aggregate(self, node: exp.Expr, *, inside: bool) -> Aggregate:
        if inside and isinstance(node, exp.Count | exp.Sum | exp.Avg | exp.Min | exp.Max):
            raise BadExpression("an aggregate cannot be in another one")
        if isinstance(node, exp.Count) and not node.expressions:
            if isinstance(node.this, exp.Star):
                return Aggregate("count")
            if isinstance(node.this, exp.Distinct) and len(node.this.expressions) == 1:
                return Aggregate("count distinct", self.read(node.this.expressions[0], inside=True))
            if isinstance(node.this, exp.Expr) and not isinstance(node.this, exp.Distinct):
                return Aggregate("count", self.read(node.this, inside=True))
        function = _AGGREGATES.get(type(node))
        if function and not isinstance(node.this, exp.Distinct):
            if node.expressions:
                raise BadExpression(f"{function} is of one thing")
            return Aggregate(function, self.read(node.this, inside=True))
        raise BadExpression(f"{node.key} is not possible in an expression")


def _number(node: exp.Expr) -> int | float | None:
    if isinstance(node, exp.Neg):
        inner = _number(node.this)
        return None if inner is None else -inner
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    written = node.this
    number = int(written) if written.isdigit() and len(written) <= _DIGITS else _float(written)
    if number is None:
        raise BadExpression(f"{written:.40} is no number that a database has")
    return number


def _float(written: str) -> float | None:
    try:
        number = float(written)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _part(node: exp.Expr) -> TimePart | None:
    if isinstance(node, exp.Extract):
        named = node.name.lower()
        return next((part for part in _PARTS.values() if part == named), None)
    return _PARTS.get(type(node))
