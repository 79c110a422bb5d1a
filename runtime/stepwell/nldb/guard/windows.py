"""Writes windows anew: what a function sees of other rows."""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from sqlglot import exp

from stepwell.nldb.guard.calls import Calls
from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.guard.scopes import fold_identifier
from stepwell.nldb.guard.writer import Place, not_rebuilt, only

_WINDOW_KEYS: Final = frozenset({"this", "partition_by", "order", "spec", "alias", "over"})
_FRAME_KEYS: Final = frozenset({"kind", "start", "start_side", "end", "end_side", "exclude"})


class Windows(Calls, ABC):
    """Writes windows anew."""

    def _window(self, node: exp.Window, place: Place) -> str:
        if str(node.args.get("over") or "OVER").upper() != "OVER":
            raise not_rebuilt(node)
        function = self.expression(node.this, place)
        for column in node.this.find_all(exp.Column):  # a window sees groups, not their rows
            if not isinstance(column.this, exp.Star):
                place.scope.find(column)
        alias = node.args.get("alias")
        keys = [key for key in ("partition_by", "order", "spec") if node.args.get(key)]
        if alias is not None and not keys:
            return f"{function} OVER {self.window_name(alias)}"
        return f"{function} OVER ({self.window(node, place)})"

    def window_name(self, identifier: exp.Expr) -> str:
        """The name of a window, folded."""
        return quoted(fold_identifier(identifier, self.dialect))

    def window(self, node: exp.Window, place: Place) -> str:
        """What stands in the parentheses of a window."""
        only(node, _WINDOW_KEYS)
        strict = place.strictly()
        parts: list[str] = []
        if (alias := node.args.get("alias")) is not None:
            parts.append(self.window_name(alias))
        if partition := node.args.get("partition_by"):
            parts.append(f"PARTITION BY {self.expressions(partition, strict)}")
        if (order := node.args.get("order")) is not None:
            parts.append(f"ORDER BY {self.ordered(order.expressions, strict)}")
        if (spec := node.args.get("spec")) is not None:
            parts.append(self._frame(spec, strict))
        return " ".join(parts)

    def _frame(self, node: exp.WindowSpec, place: Place) -> str:
        only(node, _FRAME_KEYS)
        kind = str(node.args.get("kind") or "").upper()
        start = self._bound(node, "start", place)
        if kind not in ("ROWS", "RANGE", "GROUPS"):
            raise not_rebuilt(node)
        if node.args.get("end"):
            start = f"BETWEEN {start} AND {self._bound(node, 'end', place)}"
        exclude = node.args.get("exclude")
        if exclude is None:
            return f"{kind} {start}"
        what = str(exclude.this if isinstance(exclude, exp.Var) else exclude).upper()
        if what not in ("TIES", "GROUP", "CURRENT ROW", "NO OTHERS"):
            raise not_rebuilt(node)
        return f"{kind} {start} EXCLUDE {what}"

    def _bound(self, node: exp.WindowSpec, which: str, place: Place) -> str:
        bound = node.args.get(which)
        side = str(node.args.get(f"{which}_side") or "").upper()
        if isinstance(bound, str):
            if bound.upper() == "CURRENT ROW":
                return "CURRENT ROW"
            if bound.upper() == "UNBOUNDED" and side in ("PRECEDING", "FOLLOWING"):
                return f"UNBOUNDED {side}"
            raise not_rebuilt(node)
        if side not in ("PRECEDING", "FOLLOWING"):
            raise not_rebuilt(node)
        return f"{self.expression(bound, place)} {side}"

    windows: ClassVar[Mapping[Any, Callable[..., str]]] = {
        exp.Window: _window,
    }
