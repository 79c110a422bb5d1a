"""Whether a statement could tell, by an error, of rows that a row filter hides.

A database may look at a condition of the asker before it looks at the row filter: both are
conditions on the same table to it. A condition that fails for some values (a cast, a division)
then fails for hidden rows too. Where one is, the row filters are fenced, which costs an index
that such a condition could have used.
"""

from typing import Any, Final

from sqlglot import exp

from stepwell.nldb.guard.functions import Functions
from stepwell.nldb.guard.words import words

_QUIET: Final = frozenset(
    {
        exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
        exp.And, exp.Or, exp.Not, exp.Paren, exp.Is, exp.In, exp.Between, exp.Exists, exp.Tuple,
        exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Case, exp.If,
        exp.Placeholder, exp.Parameter, exp.DPipe, exp.Star, exp.Alias, exp.Ordered, exp.Glob,
        exp.Subquery, exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Values, exp.With,
        exp.CTE, exp.TableAlias, exp.From, exp.Join, exp.Table, exp.Where, exp.Having, exp.Group,
        exp.Order, exp.Limit, exp.Offset, exp.Distinct, exp.Window, exp.Filter, exp.WithinGroup,
        exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Collate, exp.Any,
    }
)  # fmt: skip
_QUIET_FUNCTIONS: Final = words("coalesce nullif ifnull lower upper length iif instr strpos")
_SQLITE_DATES: Final = words("date time datetime strftime julianday unixepoch")


def may_tell(tree: exp.Expr, functions: Functions) -> bool:
    """Whether a part of it that decides about rows may fail for the value of a column."""
    pending: list[tuple[Any, bool]] = [(tree, False)]
    while pending:
        node, decides = pending.pop()
        if decides and not _is_quiet(node, functions) and node.find(exp.Column) is not None:
            return True
        is_grouped = _sort(node, functions) == "aggregate"
        for key, value in node.args.items():
            if value is None or value is False or isinstance(value, str | bool):
                continue
            deciding = not is_grouped and (decides or key not in _SHOWING)
            children = value if isinstance(value, list) else (value,)
            pending += [(child, deciding) for child in children if isinstance(child, exp.Expr)]
    return False


_SHOWING: Final = words("expressions this expression order group windows")
"""The parts of a query that show and do not decide, as long as nothing around it does."""


def _is_quiet(node: Any, functions: Functions) -> bool:
    kind = type(node)
    if kind in _QUIET:
        return True
    if kind is exp.Like or kind is exp.ILike:
        pattern = node.expression
        return isinstance(pattern, exp.Literal) and "\\" not in pattern.this
    if kind is exp.Cast:
        return bool(node.args["to"].this is exp.DataType.Type.TEXT)
    if kind is exp.Anonymous:
        name = str(node.this)[1:]
        return (
            name in _QUIET_FUNCTIONS
            or name in _SQLITE_DATES
            or _sort(node, functions) in ("aggregate", "window")
        )
    return False


def _sort(node: Any, functions: Functions) -> str:
    if type(node) is not exp.Anonymous or not isinstance(node.this, str):
        return ""
    function = functions.get(node.this[1:])
    return "" if function is None else function.sort
