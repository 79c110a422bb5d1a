"""Tells constants that cannot fail from those that can.

A part of a condition that names no column may fail as well, and an engine looks at it when it
needs it: `name = 'x' AND 1 / 0 = 1` fails where a row of that name is, hidden or not. What fails
whatever the rows are, because it is worked out before the first of them, tells nothing.
"""

import re
from typing import Any, Final

from sqlglot import exp

from stepwell.nldb.guard.words import words

_NOW: Final = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Localtimestamp)
_NOW_FUNCTIONS: Final = words("now localtimestamp transaction_timestamp statement_timestamp")
_PLAIN: Final = (
    exp.Literal, exp.Null, exp.Boolean, exp.Interval, exp.Placeholder, exp.Parameter
)  # fmt: skip
_SIGNS: Final = (exp.Neg, exp.Paren)
_SUMS: Final = (exp.Add, exp.Sub)
_ARITHMETIC: Final = (*_SUMS, exp.Mul, exp.Div, exp.Mod)
_STEP: Final = re.compile(
    r"\s*[-+]?\d{1,3}\s*(year|mon|month|week|day|hour|min|minute|sec|second)s?\s*", re.IGNORECASE
)
_DAYS: Final = 9_999
_TIMES: Final = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ", "TEXT"})


def is_steady(node: Any) -> bool:
    """Whether it has the same value for every row, and fails either never or always."""
    return _is_worked_out_first(node) or _is_point_in_time(node)


def _is_worked_out_first(node: Any) -> bool:
    """Literals and parameters: SQLite's arithmetic never fails, PostgreSQL does it when it plans."""
    if isinstance(node, _PLAIN):
        return node.find(exp.Column, exp.Query) is None
    if isinstance(node, exp.Cast):
        return isinstance(node.this, _PLAIN)
    if isinstance(node, _SIGNS):
        return _is_worked_out_first(node.this)
    if isinstance(node, _ARITHMETIC):
        return _is_worked_out_first(node.this) and _is_worked_out_first(node.expression)
    return False


def _is_point_in_time(node: Any) -> bool:
    """Now, or some years from it at most."""
    if isinstance(node, _NOW):
        return True
    if isinstance(node, exp.Paren):
        return _is_point_in_time(node.this)
    if isinstance(node, exp.Cast):
        return getattr(node.args["to"].this, "name", "") in _TIMES and _is_point_in_time(node.this)
    if isinstance(node, _SUMS):
        left, right = node.this, node.expression
        return _is_point_in_time(left) and _is_small(right)
    if isinstance(node, exp.Anonymous) and isinstance(node.this, str):
        name, arguments = node.this[1:], node.expressions
        if name == "date_trunc" and len(arguments) == 2:
            return _is_field(arguments[0]) and _is_point_in_time(arguments[1])
        return name in _NOW_FUNCTIONS and not arguments
    return False


def _is_field(node: Any) -> bool:
    fields = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
    return isinstance(node, exp.Literal) and str(node.this).lower() in fields


def _is_small(node: Any) -> bool:
    """A step of days, or an interval of which the years have three digits at most."""
    if isinstance(node, exp.Literal) and not node.is_string:
        return str(node.this).isdigit() and int(node.this) <= _DAYS
    if isinstance(node, exp.Cast):
        return isinstance(node.this, exp.Literal) and bool(_STEP.fullmatch(str(node.this.this)))
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        text = f"{node.this.this} {unit.this}" if isinstance(unit, exp.Var) else ""
        return bool(_STEP.fullmatch(text))
    return False
