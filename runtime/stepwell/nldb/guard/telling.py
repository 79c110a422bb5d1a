"""Whether a statement could tell, by an error, of rows that a row filter hides.

A database may look at a condition of the asker before it looks at the row filter: both are
conditions on the same table to it. A condition that fails for some values (a cast, a division)
then fails for hidden rows too. Where one is, the row filters are fenced, which costs an index
that such a condition could have used.
"""

from typing import Any, Final, NamedTuple

from sqlglot import exp

from stepwell.nldb.guard.functions import Functions
from stepwell.nldb.guard.steady import is_steady
from stepwell.nldb.guard.words import words
from stepwell.nldb.model import Dialect

_QUIET: Final = frozenset(
    {
        exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
        exp.And, exp.Or, exp.Not, exp.Paren, exp.Is, exp.In, exp.Between, exp.Exists, exp.Tuple,
        exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Case, exp.If,
        exp.Placeholder, exp.Parameter, exp.Star, exp.Alias, exp.Ordered,
        exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Values, exp.With, exp.CTE,
        exp.TableAlias, exp.From, exp.Join, exp.Table, exp.Where, exp.Having, exp.Group, exp.Order,
        exp.Distinct, exp.Window, exp.Filter, exp.WithinGroup, exp.Rollup, exp.Cube,
        exp.GroupingSets, exp.Lateral, exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Collate,
        exp.Any, exp.All, exp.DataType, exp.DataTypeParam, exp.Var, exp.LimitOptions, exp.HexString,
    }
)  # fmt: skip
_QUIET_FUNCTIONS: Final = words("coalesce nullif ifnull lower upper length iif instr strpos now")
_SQLITE_QUIET_FUNCTIONS: Final = words("""date time datetime strftime julianday unixepoch round trim
    ltrim rtrim substr substring typeof unlikely likely""")
_QUIET_AGGREGATES: Final = words("count min max avg total")
_QUIET_WINDOWS: Final = words(
    "row_number rank dense_rank percent_rank cume_dist first_value last_value"
)
_CALLED: Final = (exp.Exists, exp.In, exp.Any, exp.All)
"""What may have a query in it that runs when the engine comes to it."""
_SOURCES: Final = (
    exp.From, exp.Join, exp.Lateral, exp.Subquery, exp.Union, exp.Intersect, exp.Except
)  # fmt: skip
"""Where a sub-query stands that is no value."""
_SQLITE_NEVER_FAILS: Final = frozenset(
    {
        exp.Cast, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.BitwiseAnd,
        exp.BitwiseOr, exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift,
    }
)  # fmt: skip
_LONG_CHAIN: Final = 8


class _Seen(NamedTuple):
    """A node on the way down, and what is known of where it stands."""

    node: Any
    decides: bool
    """Whether rows depend on its value."""
    is_called: bool
    """Whether it stands in a query that runs only when, and as often as, a condition asks."""


def may_tell(tree: exp.Expr, functions: Functions, dialect: Dialect) -> bool:
    """Whether a part of it that decides about rows may fail."""
    return _Telling(functions, dialect).of(_Seen(tree, decides=False, is_called=False))


def condition_may_tell(condition: exp.Expr, functions: Functions, dialect: Dialect) -> bool:
    """Whether a condition may fail, for whatever reason."""
    return _Telling(functions, dialect).of(_Seen(condition, decides=True, is_called=False))


_SHOWING: Final = words("expressions this expression order group windows")
"""The parts of a query that show and do not decide, as long as nothing around it does."""


class _Telling:
    def __init__(self, functions: Functions, dialect: Dialect) -> None:
        self._functions = functions
        self._dialect = dialect

    def of(self, first: _Seen) -> bool:
        pending = [first]
        while pending:
            seen = pending.pop()
            node = seen.node
            if seen.decides:
                if is_steady(node):
                    continue
                if not self._is_quiet(seen):
                    return True
            is_grouped = not seen.is_called and self._sort(node) == "aggregate"
            for key, value in node.args.items():
                if value is None or value is False or isinstance(value, str | bool):
                    continue
                deciding = not is_grouped and (seen.decides or key not in _SHOWING)
                called = seen.is_called or (deciding and _calls(node))
                children = value if isinstance(value, list) else (value,)
                pending += [
                    _Seen(child, deciding, called)
                    for child in children
                    if isinstance(child, exp.Expr)
                ]
        return False

    def _is_quiet(self, seen: _Seen) -> bool:
        node = seen.node
        kind = type(node)
        if kind in _QUIET or (self._dialect == "sqlite" and kind in _SQLITE_NEVER_FAILS):
            return True
        match node:
            case exp.Like() | exp.ILike():
                pattern = node.expression
                return isinstance(pattern, exp.Literal) and "\\" not in pattern.this
            case exp.Escape():
                sign = node.expression
                return isinstance(sign, exp.Literal) and len(str(sign.this)) == 1
            case exp.Glob():
                return isinstance(node.expression, exp.Literal)
            case exp.Cast():
                return node.args["to"].this is exp.DataType.Type.TEXT
            case exp.Limit() | exp.Offset() | exp.Fetch():
                amount = node.args.get("expression") or node.args.get("count")
                return amount is None or isinstance(amount, exp.Literal)
            case exp.DPipe():
                return _joins_texts(node)
            case exp.WindowSpec():
                return node.find(exp.Column) is None
            case exp.Subquery():
                return isinstance(node.parent, (*_SOURCES, *_CALLED)) or (
                    self._dialect == "sqlite" or _gives_one_row(node.this, self._sort)
                )
            case exp.Array():
                return all(isinstance(item, exp.Literal) for item in node.expressions)
            case exp.Anonymous() if str(node.this).lower() == "all":
                return True
            case exp.Anonymous() if isinstance(node.parent, exp.Table):
                return node.find(exp.Column, exp.Query) is None  # rows, once
            case exp.Anonymous():
                return self._is_quiet_call(node, is_called=seen.is_called)
            case _:
                return False

    def _is_quiet_call(self, node: exp.Anonymous, *, is_called: bool) -> bool:
        name = str(node.this)[1:]
        sort = self._sort(node)
        if sort == "aggregate":
            is_exact = name == "sum" and self._dialect == "postgres"
            return not is_called or name in _QUIET_AGGREGATES or is_exact
        if sort == "window":
            return not is_called or name in _QUIET_WINDOWS
        if name in ("min", "max"):  # of several values, on SQLite
            return True
        return name in _QUIET_FUNCTIONS or (
            self._dialect == "sqlite" and name in _SQLITE_QUIET_FUNCTIONS
        )

    def _sort(self, node: Any) -> str:
        if type(node) is not exp.Anonymous or not isinstance(node.this, str):
            return ""
        function = self._functions.get(node.this[1:])
        return "" if function is None else function.sort


def _calls(node: Any) -> bool:
    if isinstance(node, exp.Subquery):
        return not isinstance(node.parent, _SOURCES)
    return isinstance(node, _CALLED)


def _joins_texts(node: Any) -> bool:
    """Whether a `||` is of a few texts: arrays of other shapes, and what gets too long, fail."""
    parts = 1
    has_text = False
    while isinstance(node, exp.DPipe):
        right = node.expression
        has_text = has_text or _is_text(right) or _is_text(node.this)
        node = node.this
        parts += 1
    return has_text and parts <= _LONG_CHAIN


def _is_text(node: Any) -> bool:
    return isinstance(node, exp.Literal) and node.is_string and not node.this.startswith("{")


def _gives_one_row(node: Any, sort: Any) -> bool:
    """Whether a query gives one row at most: PostgreSQL fails where a value has more."""
    limit = node.args.get("limit")
    amount = limit.args.get("expression") if isinstance(limit, exp.Limit) else None
    if isinstance(amount, exp.Literal) and str(amount.this) in ("0", "1"):
        return True
    if type(node) is not exp.Select or node.args.get("group") is not None:
        return False
    return any(
        sort(found) == "aggregate" and found.find_ancestor(exp.Select) is node
        for item in node.expressions
        for found in item.find_all(exp.Anonymous)
        if not isinstance(found.parent, exp.Window)
    )
