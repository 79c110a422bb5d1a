"""How many digits the decimals of a result have after the point, as the catalog says it.

SQLite computes decimals as binary fractions; a sum of prices is 2328.6000000000004 there. What a
figure is to be shown as follows from the columns that it is made of.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlglot import exp

from stepwell.nldb.guard.digits import MOST_DIGITS, UNSCALED
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.scopes import Scope, fold_identifier

QUOTIENT: Final = 4
"""The digits that an average or a quotient has more than what it is made of."""
_SAME: Final = (exp.Paren, exp.Neg, exp.Window, exp.Filter)
_SAME_CALLS: Final = frozenset({"sum", "min", "max", "abs"})


def scale_in(node: Any, scope: Scope) -> int | None:
    """The digits of an expression's value, where its columns tell."""
    if type(node) is exp.Column:
        return _of_column(node, scope)
    if type(node) is exp.Literal:
        return None if node.is_string else 0
    if type(node) in _SAME:
        return scale_in(node.this, scope)
    if type(node) is exp.Distinct and len(node.expressions) == 1:
        return scale_in(node.expressions[0], scope)
    if type(node) is exp.Anonymous:
        return _of_call(str(node.this).removeprefix(MARK), node.expressions, scope)
    if type(node) is exp.Case:
        values = [one.args["true"] for one in node.args["ifs"]]
        given = [one for one in (*values, node.args.get("default")) if one]
        return _one_of(given, [scale_in(one, scope) for one in given])
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
        return _computed(node, scope)
    return None


def _part(node: Any, scale: int | None) -> int | None:
    """The digits of an expression that stands beside others: those of a literal count there.

    Its own are given: who looked for them again at each level would look twice as often at each.
    """
    if type(node) is exp.Literal and not node.is_string:
        return len(str(node.this).partition(".")[2])
    return scale


def _of_column(node: exp.Column, scope: Scope) -> int | None:
    if not isinstance(node.this, exp.Identifier):
        return None
    name = scope.fold(node.this)
    qualifier = node.args.get("table")
    alias = None if qualifier is None else fold_identifier(qualifier, scope.dialect)
    around: Scope | None = scope
    while around is not None:
        for relation in around.relations:
            if alias in (None, relation.alias):
                for column in relation.columns:
                    if column.name == name:
                        return column.scale
        around = around.outer
    return None


def _one_of(nodes: Sequence[Any], scales: Sequence[int | None]) -> int | None:
    if not any(scales):
        return None
    return widest([_part(one, scale) for one, scale in zip(nodes, scales, strict=True)])


def _of_call(name: str, arguments: Sequence[Any], scope: Scope) -> int | None:
    scales = [scale_in(one, scope) for one in arguments]
    if name in ("coalesce", "ifnull"):
        return _one_of(arguments, scales)
    if name == "round" and len(arguments) == 2 and scales[0]:
        digits = arguments[1]
        is_plain = type(digits) is exp.Literal and str(digits.this).isdigit()
        return min(int(digits.this), MOST_DIGITS) if is_plain else None
    if len(scales) == 1 and name in _SAME_CALLS:
        return scales[0]
    return _more(scales[0], QUOTIENT) if len(scales) == 1 and name == "avg" else None


def _computed(node: exp.Binary, scope: Scope) -> int | None:
    own = scale_in(node.left, scope), scale_in(node.right, scope)
    left, right = _part(node.left, own[0]), _part(node.right, own[1])
    if left is None or right is None or not any(own):
        return 0 if left == right == 0 else None
    if UNSCALED in own:
        return UNSCALED
    match node:
        case exp.Mul():
            return min(left + right, MOST_DIGITS)
        case exp.Div():
            return _more(max(left, right), QUOTIENT)
        case _:
            return max(left, right)


def _more(scale: int | None, digits: int) -> int | None:
    """Of whole numbers there is nothing to make exact: their quotients stay as they are."""
    return scale if scale in (None, UNSCALED, 0) else min((scale or 0) + digits, MOST_DIGITS)


def widest(scales: Sequence[int | None]) -> int | None:
    """The digits of what is one of several values; None where one of them has none to tell."""
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        return None
    return UNSCALED if UNSCALED in known else max(known)
