"""Writes anew what is true or false, and what decides: comparisons, CASE, queries as values."""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from sqlglot import exp

from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.writer import (
    OPERATOR_KEYS,
    THIS,
    Place,
    Writer,
    is_bare,
    not_rebuilt,
    only,
)

_MATCHING: Final[Mapping[Any, tuple[str, str]]] = {
    exp.Like: ("LIKE", "NOT LIKE"),
    exp.ILike: ("ILIKE", "NOT ILIKE"),
    exp.Glob: ("GLOB", "NOT GLOB"),
    exp.SimilarTo: ("SIMILAR TO", "NOT SIMILAR TO"),
    exp.RegexpLike: ("~", "!~"),
    exp.RegexpILike: ("~*", "!~*"),
}
_ONLY_POSTGRES: Final = (exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike)
_BETWEEN_KEYS: Final = frozenset({"this", "low", "high", "symmetric"})
_IN_KEYS: Final = frozenset({"this", "expressions", "query"})
_CASE_KEYS: Final = frozenset({"this", "ifs", "default"})
_IF_KEYS: Final = frozenset({"this", "true"})


class Conditions(Writer, ABC):
    """Writes anew what is true or false, and what decides."""

    def _match(self, node: Any, place: Place, *, negated: bool = False, escape: str = "") -> str:
        kind = type(node)
        if kind in _ONLY_POSTGRES and self.dialect == "sqlite":
            raise Refused("sql.operator", "an operator that SQLite does not have", "use LIKE")
        only(node, OPERATOR_KEYS)
        strict = place.strictly()
        operator = _MATCHING[kind][negated != bool(node.args.get("negate"))]
        left = self.expression(node.this, strict)
        return f"{left} {operator} {self.expression(node.expression, strict)}{escape}"

    def _escape(self, node: exp.Escape, place: Place, *, negated: bool = False) -> str:
        if type(node.this) not in _MATCHING:
            raise not_rebuilt(node)
        escape = f" ESCAPE {self.expression(node.expression, place)}"
        return self._match(node.this, place, negated=negated, escape=escape)

    def _is(self, node: exp.Is, place: Place, *, negated: bool = False) -> str:
        only(node, OPERATOR_KEYS)
        if not isinstance(node.expression, exp.Null | exp.Boolean):
            raise not_rebuilt(node.expression)
        left = self.expression(node.this, place.strictly())
        is_not = negated != bool(node.args.get("negate"))
        return f"{left} IS {'NOT ' if is_not else ''}{self.expression(node.expression, place)}"

    def _between(self, node: exp.Between, place: Place, *, negated: bool = False) -> str:
        only(node, _BETWEEN_KEYS)
        strict = place.strictly()
        value = self.expression(node.this, strict)
        low = self.expression(node.args["low"], strict)
        high = self.expression(node.args["high"], strict)
        symmetric = "SYMMETRIC " if node.args.get("symmetric") else ""
        return f"{value} {'NOT ' if negated else ''}BETWEEN {symmetric}{low} AND {high}"

    def _in(self, node: exp.In, place: Place, *, negated: bool = False) -> str:
        only(node, _IN_KEYS)
        strict = place.strictly()
        value = self.expression(node.this, strict)
        query = node.args.get("query")
        listed = node.expressions
        if query is not None:
            among = self._comparable(query, place)
        elif len(listed) == 1 and isinstance(listed[0], exp.Values | exp.Query):
            among = self._comparable(listed[0], place)
        elif listed or self.dialect == "sqlite":
            among = self.expressions(listed, strict)
        else:
            raise Refused("sql.syntax", "IN without values", "write at least one value")
        return f"{value} {'NOT ' if negated else ''}IN ({among})"

    def _not(self, node: exp.Not, place: Place) -> str:
        only(node, THIS)
        negating = self._negating.get(type(node.this))
        if negating is not None:
            return negating(self, node.this, place, negated=True)
        return f"NOT {self.expression(node.this, place.strictly())}"

    def _exists(self, node: exp.Exists, place: Place) -> str:
        only(node, THIS)
        inner = node.this
        inner = inner.this if type(inner) is exp.Subquery and is_bare(inner) else inner
        return f"EXISTS ({self.query(inner, place.scope, place.ctes).text})"

    def _subquery(self, node: exp.Subquery, place: Place) -> str:
        if not is_bare(node):
            raise not_rebuilt(node)
        if place.strict:
            return f"({self._comparable(node, place)})"
        written = self.query(node.this, place.scope, place.ctes)
        self.masked_seen += sum(column.masked for column in written.columns)
        for column in written.columns:
            self.grow(place, column.growth, recurs=column.recurs)
        return f"({written.text})"

    def _any(self, node: exp.Any, place: Place) -> str:
        return f"ANY {self._quantified(node.this, place)}"

    def _all(self, node: exp.All, place: Place) -> str:
        return f"ALL {self._quantified(node.this, place)}"

    def _case(self, node: exp.Case, place: Place) -> str:
        only(node, _CASE_KEYS)
        strict = place.strictly()
        parts = ["CASE"]
        if node.this is not None:
            parts.append(self.expression(node.this, strict))
        for branch in node.args["ifs"]:
            only(branch, _IF_KEYS)
            parts.append(f"WHEN {self.expression(branch.this, strict)}")
            parts.append(f"THEN {self.expression(branch.args['true'], place)}")
        if (otherwise := node.args.get("default")) is not None:
            parts.append(f"ELSE {self.expression(otherwise, place)}")
        return " ".join([*parts, "END"])

    _negating: ClassVar[Mapping[Any, Callable[..., str]]] = {
        **dict.fromkeys(_MATCHING, _match),
        exp.Escape: _escape,
        exp.Is: _is,
        exp.Between: _between,
        exp.In: _in,
    }

    conditions: ClassVar[Mapping[Any, Callable[..., str]]] = {
        **dict.fromkeys(_MATCHING, _match),
        exp.Escape: _escape,
        exp.Is: _is,
        exp.Between: _between,
        exp.In: _in,
        exp.Not: _not,
        exp.Exists: _exists,
        exp.Subquery: _subquery,
        exp.Any: _any,
        exp.All: _all,
        exp.Case: _case,
    }
