"""A predicate as SQL for one table and one principal: written anew, with his attributes as literals."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sqlglot import exp

from stepwell.policy.data.access import ColumnView, TableView
from stepwell.policy.data.names import named
from stepwell.policy.data.predicate_nodes import COMPARISONS, FUNCTIONS, is_attribute
from stepwell.policy.data.predicates import Predicate
from stepwell.principals import Attributes
from stepwell.quoting import literal, quoted


class Unbound(Exception):
    """The predicate cannot be applied to this table for this principal; the text says why."""


def bound(predicate: Predicate, table: TableView, attributes: Attributes, dialect: str) -> str:
    """The predicate as SQL for this table, with the attributes of the principal in it.

    Raises:
        Unbound: the table has no such column, or an attribute is missing or does not fit.
    """
    return _Writer(table, attributes, dialect).condition(predicate.tree)


class _Writer:
    """Writes the SQL of a predicate for one table."""

    def __init__(self, table: TableView, attributes: Attributes, dialect: str) -> None:
        self._columns = {column.name: column for column in table.columns}
        self._attributes = attributes
        self._dialect = dialect

    def condition(self, node: Any) -> str:
        """Something that is true, false or unknown."""
        match node:
            case exp.And() | exp.Or():
                word = "AND" if isinstance(node, exp.And) else "OR"
                return f"({self.condition(node.this)} {word} {self.condition(node.expression)})"
            case exp.Not():
                return f"(NOT {self.condition(node.this)})"
            case exp.Paren():
                return self.condition(node.this)
            case exp.Is():
                word = "IS NOT" if node.args.get("negate") else "IS"
                return f"({self._value(node.this)} {word} {self._value(node.expression)})"
            case exp.In():
                return self._in(node)
            case exp.Between():
                low = self._value(node.args["low"], node.this)
                high = self._value(node.args["high"], node.this)
                return f"({self._value(node.this)} BETWEEN {low} AND {high})"
            case exp.Like():
                word = "NOT LIKE" if node.args.get("negate") else "LIKE"
                return f"({self._value(node.this)} {word} {self._value(node.expression)})"
            case _ if (sign := COMPARISONS.get(type(node))) is not None:
                left = self._value(node.this, node.expression)
                return f"({left} {sign} {self._value(node.expression, node.this)})"
        return self._value(node)

    def _in(self, node: exp.In) -> str:
        values: list[str] = []
        for one in node.expressions:
            if is_attribute(one):
                values += (
                    self._literal(one.name, text, node.this) for text in self._attribute(one.name)
                )
            else:
                values.append(self._value(one, node.this))
        return f"({self._value(node.this)} IN ({', '.join(values)}))"

    def _value(self, node: Any, other: Any = None) -> str:
        """A value; `other` is what it is compared with."""
        match node:
            case exp.Column() if node.table:
                text, *more = self._attribute(node.name)
                if more:
                    raise Unbound(
                        f"there is more than one {node.name}; compare it with `in (principal."
                        f"{node.name})`"
                    )
                return self._literal(node.name, text, other)
            case exp.Column():
                return quoted(self._column(node).name)
            case exp.Literal():
                return literal(node.this) if node.is_string else str(node.this)
            case exp.Boolean():
                return "TRUE" if node.this else "FALSE"
            case exp.Null():
                return "NULL"
            case exp.Neg():
                return f"-{node.this.this}"
            case exp.Paren():
                return self._value(node.this, other)
            case _ if (name := FUNCTIONS.get(type(node))) is not None:
                given = [node.this, *node.expressions]
                return f"{name}({', '.join(self._value(one, other) for one in given)})"
        return self.condition(node)

    def _column(self, node: exp.Column) -> ColumnView:
        found = named(self._columns, node.name)
        if found is None:
            raise Unbound(f"there is no column {node.name}, which its row filter looks at")
        return self._columns[found]

    def _attribute(self, name: str) -> tuple[str, ...]:
        texts: tuple[str, ...] = self._attributes.get(name, ())
        if len(texts) == 0:
            raise Unbound(f"the principal has no attribute {name}, which its row filter needs")
        return texts

    def _literal(self, name: str, text: str, other: Any) -> str:
        """An attribute as a literal of the kind of what it is compared with."""
        kind = self._kind(other)
        if kind == "other" and self._dialect == "postgres":
            kind = "text"  # the engine reads it as the column's own type
        write = _LITERALS.get(kind)
        written = None if write is None or "\x00" in text else write(text)
        if written is None:
            raise Unbound(f"the attribute {name} does not fit what it is compared with ({kind})")
        return written

    def _kind(self, node: Any) -> str:
        match node:
            case exp.Column() if not node.table:
                return self._column(node).kind
            case exp.Paren() | exp.Coalesce():
                return self._kind(node.this)
            case exp.Length():
                return "integer"
            case exp.Literal() if not node.is_string:
                return "decimal"
            case exp.Neg():
                return "decimal"
            case exp.Boolean():
                return "boolean"
        return "text"


def _whole(text: str) -> str | None:
    return text if re.fullmatch(r"-?\d{1,18}", text) else None


def _number(text: str) -> str | None:
    if not re.fullmatch(r"-?\d{1,30}(\.\d{1,30})?", text):
        return None
    try:
        return str(Decimal(text)) if "E" not in str(Decimal(text)) else text
    except InvalidOperation:
        return None


def _truth(text: str) -> str | None:
    return {"true": "TRUE", "false": "FALSE"}.get(text)


_LITERALS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "integer": _whole,
    "decimal": _number,
    "float": _number,
    "boolean": _truth,
    **dict.fromkeys(("text", "uuid", "date", "time", "timestamp"), literal),
}
