"""Writes expressions anew, each by the line that there is for it."""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from sqlglot import exp

from stepwell.nldb.guard.calls import Calls
from stepwell.nldb.guard.conditions import Conditions
from stepwell.nldb.guard.functions import (
    Functions,
)
from stepwell.nldb.guard.parsing import ARROW
from stepwell.nldb.guard.values import Values
from stepwell.nldb.guard.windows import Windows
from stepwell.nldb.guard.writer import OPERATOR_KEYS, Place, not_rebuilt, only, unknown_function
from stepwell.nldb.model import Dialect

_COMPARING: Final = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.And: "AND",
    exp.Or: "OR",
}
_COMPUTING: Final = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.JSONExtract: "->",
    exp.JSONExtractScalar: "->>",
}
_POSTGRES_OPERATORS: Final = {
    **_COMPARING,
    **_COMPUTING,
    exp.Pow: "^",
    exp.BitwiseXor: "#",
    exp.JSONBExtract: "#>",
    exp.JSONBExtractScalar: "#>>",
    exp.ArrayContainsAll: "@>",
    exp.ArrayContainedBy: "<@",
    exp.ArrayOverlaps: "&&",
    exp.JSONBContainsTopKey: "?",
    exp.JSONBPathExists: "@?",
    exp.JSONBDeleteAtPath: "#-",
    exp.JSONBContainsAnyTopKeys: "?|",
    exp.JSONBContainsAllTopKeys: "?&",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
    exp.Overlaps: "OVERLAPS",
}
_SQLITE_OPERATORS: Final = {
    **_COMPARING,
    **_COMPUTING,
    exp.NullSafeEQ: "IS",
    exp.NullSafeNEQ: "IS NOT",
}


class Expressions(Conditions, Values, Windows, ABC):
    """Writes expressions; queries in them are written by whoever derives from it."""

    def __init__(self, dialect: Dialect, functions: Functions) -> None:
        super().__init__(dialect, functions)
        self._operators: Mapping[Any, str] = (
            _POSTGRES_OPERATORS if dialect == "postgres" else _SQLITE_OPERATORS
        )

    def expression(self, node: object, place: Place) -> str:
        """The expression written anew.

        Raises:
            Refused: something in it is not allowed.
        """
        kind = type(node)
        if kind in self._operators:
            return self._chain(node, place)
        writer = self._writers.get(kind)
        if writer is None and isinstance(node, exp.Func):
            raise unknown_function(node.sql_name(), self.functions)
        if writer is None:
            raise not_rebuilt(node)
        return writer(self, node, place)

    def _chain(self, node: Any, place: Place) -> str:
        """An operator and those to its left, in the order of the text.

        The engine's own precedence decides again, as it would have decided.
        """
        parts: list[str] = []
        if isinstance(node, exp.DPipe):
            place = self._put_together(_joined(node), place, "||")
        while (operator := self._operators.get(type(node))) is not None:
            only(node, OPERATOR_KEYS)
            if type(node) not in _COMPUTING:
                place = place.strictly()
            right = node.expression
            if type(right) is exp.Anonymous and right.this == ARROW:
                parts.append(f" -> ({self.expressions(right.expressions, place)})")
            else:
                parts.append(f" {operator} {self.expression(right, place)}")
            node = node.this
        parts.append(self.expression(node, place))
        return "".join(reversed(parts))

    _writers: ClassVar[Mapping[Any, Callable[..., str]]] = {
        **Conditions.conditions,
        **Values.values,
        **Calls.calls,
        **Windows.windows,
    }


def _joined(node: Any) -> int:
    """How many texts a chain of operators puts one behind the other, that are no literals."""
    count = 0
    while isinstance(node, exp.Binary):
        count += not isinstance(node.expression, exp.Literal)
        node = node.this
    return count + (not isinstance(node, exp.Literal))
