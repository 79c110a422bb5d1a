"""Writes calls of functions anew, and says how long they can make a text."""

import math
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from sqlglot import exp

from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.functions import (
    COMPARING,
    KEEPING,
    MOST_WIDTH,
    Function,
    is_bounded_format,
)
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.scopes import Relation, masked, whole_row
from stepwell.nldb.guard.series import check_series
from stepwell.nldb.guard.words import words
from stepwell.nldb.guard.writer import (
    EXPRESSIONS,
    Place,
    Writer,
    not_rebuilt,
    only,
    unknown_function,
)

_OF_ROWS: Final = words("to_json to_jsonb row_to_json json_agg jsonb_agg")
"""What takes a row as a whole; the row of a table is what the policy shows of it."""
_PARTS_OF_INTERVALS: Final = words("years months weeks days hours mins secs")
_FREE_TEXT_GROWTH: Final = 100
_FIRST_LAST: Final = {True: "FIRST", False: "LAST"}
_BINARY_KEYS: Final = frozenset({"this", "expression"})
_ORDERED_KEYS: Final = frozenset({"this", "desc", "nulls_first"})


class Calls(Writer, ABC):
    """Writes calls of functions anew, and says how long they can make a text."""

    def _call(self, node: exp.Anonymous, place: Place) -> str:
        if self.dialect == "postgres" and str(node.this).lower() == "all" and node.expressions:
            return f"ALL {self._quantified(node.expressions[0], place)}"
        function = self._function(node)
        if function.sort == "rows" and self.dialect == "sqlite":
            raise Refused(
                "sql.function", f"{function.name}() stands where a value belongs", "use it in FROM"
            )
        return self.call(function, node.expressions, place)

    def _function(self, node: exp.Anonymous) -> Function:
        name = node.this
        known = self.functions.get(name[1:]) if _is_marked(name) else None
        if known is None:
            raise unknown_function(str(name), self.functions)
        return known

    def call(self, function: Function, arguments: Sequence[Any], place: Place) -> str:
        """The call written anew.

        Raises:
            Refused: by sql.arguments or sql.growth, or an argument is not allowed.
        """
        if function.sort == "aggregate" or function.sort == "window":
            place = place._replace(
                strict=True, aggregated=place.aggregated or _aggregates(function)
            )
        elif function.name in COMPARING or (function.name in ("max", "min") and len(arguments) > 1):
            place = place.strictly()
        elif function.name in ("max", "min"):
            place = place._replace(strict=True, aggregated=True)
        check_arguments(function, arguments)
        place = self._grown(function, arguments, place)
        around, self.growth = self.growth, 1
        written = ", ".join([self._argument(function, item, place) for item in arguments])
        if function.name in KEEPING:
            self.kept = max(self.kept, self.growth)
        self.growth = max(self.growth, around)
        return f"{function.name}({written})"

    def _argument(self, function: Function, node: Any, place: Place) -> str:
        match node:
            case exp.Star() if function.name == "count":
                return "*"
            case exp.Column() if function.name in _OF_ROWS and self.dialect == "postgres":
                relation = place.scope.whole(node)
                return (
                    self.expression(node, place) if relation is None else self._row(relation, place)
                )
            case exp.Kwarg() if function.name == "make_interval":
                name = str(node.this.this if isinstance(node.this, exp.Var) else "").lower()
                if name not in _PARTS_OF_INTERVALS:
                    raise not_rebuilt(node)
                return f"{name} => {self.expression(node.expression, place)}"
            case exp.Distinct():
                only(node, EXPRESSIONS)
                return "DISTINCT " + ", ".join(
                    [self._argument(function, item, place) for item in node.expressions]
                )
            case exp.Order() if node.this is not None:
                first = self._argument(function, node.this, place)
                return f"{first} ORDER BY {self.ordered(node.expressions, place)}"
            case _:
                return self.expression(node, place)

    def _row(self, relation: Relation, place: Place) -> str:
        """All that may be seen of a row, as one value."""
        hidden = [column.name for column in relation.columns if column.masked]
        if relation.is_changed:
            raise whole_row(relation.alias)
        if hidden and place.strict:
            raise masked(hidden[0])
        self.masked_seen += len(hidden)
        for column in relation.columns:
            self.grow(place, column.growth, recurs=column.recurs)
            if relation.policy is not None:
                self.columns_read[relation.policy.table.name, column.name] = None
        return quoted(relation.alias)

    def _grown(self, function: Function, arguments: Sequence[Any], place: Place) -> Place:
        if function.joins:
            return self._put_together(_amount(function, arguments), place, f"{function.name}()")
        return self._multiplied(_growth(function, arguments), place, f"{function.name}()")

    def ordered(self, nodes: Sequence[Any], place: Place) -> str:
        """What stands after ORDER BY."""
        return ", ".join([self.order_item(node, place) for node in nodes])

    def order_item(self, node: Any, place: Place) -> str:
        """One item of ORDER BY with its direction."""
        if type(node) is not exp.Ordered:
            return self.expression(node, place.strictly())
        only(node, _ORDERED_KEYS)
        return self.expression(node.this, place.strictly()) + self.direction(node)

    def direction(self, node: exp.Ordered) -> str:
        """DESC and NULLS, where they are not the engine's default."""
        is_descending = bool(node.args.get("desc"))
        nulls_first = bool(node.args.get("nulls_first"))
        default = is_descending if self.dialect == "postgres" else not is_descending
        text = " DESC" if is_descending else ""
        return text if nulls_first == default else f"{text} NULLS {_FIRST_LAST[nulls_first]}"

    def _filter(self, node: exp.Filter, place: Place) -> str:
        only(node, _BINARY_KEYS)
        where = node.expression
        if not isinstance(where, exp.Where):
            raise not_rebuilt(node)
        condition = self.expression(where.this, place._replace(strict=True, aggregated=True))
        return f"{self.expression(node.this, place)} FILTER (WHERE {condition})"

    def _within(self, node: exp.WithinGroup, place: Place) -> str:
        only(node, _BINARY_KEYS)
        order = node.expression
        if not isinstance(order, exp.Order):
            raise not_rebuilt(node)
        inner = place._replace(strict=True, aggregated=True)
        items = self.ordered(order.expressions, inner)
        return f"{self.expression(node.this, place)} WITHIN GROUP (ORDER BY {items})"

    calls: ClassVar[Mapping[Any, Callable[..., str]]] = {
        exp.Anonymous: _call,
        exp.Filter: _filter,
        exp.WithinGroup: _within,
    }


def _amount(function: Function, arguments: Sequence[Any]) -> int:
    if function.format and arguments and isinstance(arguments[0], exp.Literal):
        return str(arguments[0].this).count("%")
    return sum(not isinstance(argument, exp.Literal) for argument in arguments)


def _is_marked(name: object) -> bool:
    return isinstance(name, str) and name.startswith(MARK)


def _aggregates(function: Function) -> bool:
    return function.sort == "aggregate"


def check_arguments(function: Function, arguments: Sequence[Any]) -> None:
    """Sees that what says how much the function gives is a literal, and small.

    Raises:
        Refused: by sql.arguments.
    """
    if function.name == "generate_series":
        check_series(arguments)
    if function.width >= 0 and len(arguments) > function.width:
        width = arguments[function.width]
        if (
            not isinstance(width, exp.Literal)
            or width.is_string
            or not str(width.this).isdigit()
            or int(width.this) > MOST_WIDTH
        ):
            raise Refused(
                "sql.arguments",
                f"the length in {function.name}() is not a whole number up to {MOST_WIDTH}",
                "write the number itself",
            )
    if function.format and arguments:
        text = arguments[0]
        if (
            not isinstance(text, exp.Literal)
            or not text.is_string
            or not is_bounded_format(text.this)
        ):
            raise Refused(
                "sql.arguments",
                f"the format of {function.name}() is not a text with fields of at most 100 signs",
                "write the format itself, without *",
            )


def _growth(function: Function, arguments: Sequence[Any]) -> int:
    if function.grows >= 0:
        return function.grows
    if function.grows == -2:
        times = arguments[1].this if len(arguments) > 1 else 1
        return int(str(times))
    if len(arguments) < 3:
        return 1
    old, new = arguments[1], arguments[2]
    if not (isinstance(new, exp.Literal) and new.is_string):
        return _FREE_TEXT_GROWTH
    if function.name == "replace" and isinstance(old, exp.Literal) and old.is_string:
        return math.ceil(len(new.this) / max(1, len(old.this)))
    return max(1, len(new.this))
