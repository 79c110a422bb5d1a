"""Row filters: the SQL predicates of `@rows`, read when the policy is, written anew when it is used.

A predicate speaks of the columns of its own table, of values, and of what is known of the principal,
as `principal.tenant`. It is never handed to a database as it was written: what is read becomes a
tree of the nodes below and nothing else, and SQL is made from that.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final

from msgspec import Struct
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError

from stepwell.policy.data.access import ColumnView, TableView
from stepwell.policy.problems import nearest
from stepwell.principals import Attributes

MOST_TEXT: Final = 2000
"""Characters of a predicate."""

MOST_NESTING: Final = 16
MOST_DEPTH: Final = 32
"""How deep the tree of a predicate may be: longer chains of `or` are lists."""

PRINCIPAL: Final = "principal"
"""What stands before an attribute."""

ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

# It warns of what it does not know, with the text.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
_DIALECT: Final = Postgres()


class Mistake(Struct, frozen=True):
    """What is wrong with a predicate, and where in its text: from `start` up to `end`."""

    message: str
    hint: str = ""
    start: int = 0
    end: int = 0


class Unbound(Exception):
    """The predicate cannot be applied to this table for this principal; the text says why."""


class Predicate(Struct, frozen=True, dict=True):
    """A row filter that has been read."""

    text: str
    tree: Any
    """What sqlglot read, of allowed nodes only."""

    @cached_property
    def attributes(self) -> frozenset[str]:
        """Those of the principal that it needs."""
        return frozenset(one.name for one in self._columns if one.table)

    @cached_property
    def columns(self) -> tuple[tuple[str, int, int], ...]:
        """Those of the table that it looks at, each with where it stands in the text."""
        return tuple((one.name, *_place(one, self.text)) for one in self._columns if not one.table)

    @property
    def _columns(self) -> Iterator[exp.Column]:
        yield from self.tree.find_all(exp.Column)


def read_predicate(text: str) -> tuple[Predicate | None, list[Mistake]]:
    """The predicate, or all that is wrong with it."""
    if len(text) > MOST_TEXT:
        return None, [Mistake(f"it has more than {MOST_TEXT} characters", "write more rules")]
    if not text.strip():
        return None, [Mistake("it is empty", "leave it out to show every row")]
    if "\x00" in text or _depth(text) > MOST_NESTING:
        return None, [Mistake(f"there are more than {MOST_NESTING} brackets inside one another")]
    try:
        trees = _DIALECT.parse(text)
    except SqlglotError as error:
        return None, [_syntax(error, text)]
    except RecursionError:
        return None, [Mistake("it is nested too deeply", "write more rules")]
    if len(trees) != 1 or trees[0] is None:
        return None, [Mistake("it is not one condition", "write one, like tenant = 42")]
    if _height(trees[0]) > MOST_DEPTH:
        hint = "compare with a list, in (...), or write more rules"
        return None, [Mistake("it chains or nests too much", hint, 0, len(text))]
    mistakes = list(_mistakes(trees[0], text))
    return (None, mistakes) if mistakes else (Predicate(text, trees[0]), [])


def bound(predicate: Predicate, table: TableView, attributes: Attributes, dialect: str) -> str:
    """The predicate as SQL for this table, with the attributes of the principal in it.

    Raises:
        Unbound: the table has no such column, or an attribute is missing or does not fit.
    """
    return _Writer(table, attributes, dialect).condition(predicate.tree)


# --- reading -----------------------------------------------------------------------------

_COMPARISONS: Final[Mapping[type, str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_PARTS: Final[Mapping[type, frozenset[str]]] = {
    **dict.fromkeys(_COMPARISONS, frozenset({"this", "expression"})),
    exp.And: frozenset({"this", "expression"}),
    exp.Or: frozenset({"this", "expression"}),
    exp.Not: frozenset({"this"}),
    exp.Paren: frozenset({"this"}),
    exp.Is: frozenset({"this", "expression", "negate"}),
    exp.In: frozenset({"this", "expressions"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.Column: frozenset({"this", "table"}),
    exp.Identifier: frozenset({"this", "quoted"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Boolean: frozenset({"this"}),
    exp.Null: frozenset(),
    exp.Neg: frozenset({"this"}),
    exp.Lower: frozenset({"this"}),
    exp.Upper: frozenset({"this"}),
    exp.Length: frozenset({"this"}),
    exp.Coalesce: frozenset({"this", "expressions"}),
}
"""Everything that a predicate may be made of, and which parts of each."""

_CONDITIONS: Final = (
    *_COMPARISONS,
    *(exp.And, exp.Or, exp.Not, exp.Paren, exp.Is, exp.In, exp.Between, exp.Like),
    *(exp.Column, exp.Boolean),
)
_FUNCTIONS: Final[Mapping[type, str]] = {
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Length: "length",
    exp.Coalesce: "coalesce",
}
ALLOWED: Final = (
    "a predicate is made of columns, values, principal.NAME, = <> < <= > >=, and, or, not, is null, "
    "in (...), between, like, lower, upper, length and coalesce"
)


def _mistakes(root: exp.Expr, text: str) -> Iterator[Mistake]:
    if not isinstance(root, _CONDITIONS) or _is_attribute(root):
        yield Mistake("it is not a condition", "write one, like tenant = 42", 0, len(text))
    ahead: list[exp.Expr] = [root]
    while ahead:
        node = ahead.pop()
        parts = _PARTS.get(type(node))
        if parts is None:
            yield Mistake(f"{_told(node)} cannot be in a predicate", ALLOWED, *_place(node, text))
            continue
        given = {name for name, value in node.args.items() if value not in (None, False, [])}
        if extra := given - parts:
            what = f"{_told(node)} with {', '.join(sorted(extra))} cannot be in a predicate"
            yield Mistake(what, ALLOWED, *_place(node, text))
            continue
        yield from _own_mistakes(node, text)
        if not isinstance(node, exp.Column):
            ahead += node.iter_expressions()


def _own_mistakes(node: exp.Expr, text: str) -> Iterator[Mistake]:
    place = _place(node, text)
    match node:
        case exp.Column():
            yield from _column_mistakes(node, place)
        case exp.And() | exp.Or():
            for side in (node.this, node.expression):
                if not isinstance(side, _CONDITIONS) or _is_attribute(side):
                    message = f"{_told(side)} is not a condition"
                    yield Mistake(message, "", *_place(side, text))
        case exp.Not() if not isinstance(node.this, _CONDITIONS) or _is_attribute(node.this):
            yield Mistake(f"{_told(node.this)} is not a condition", "", *_place(node.this, text))
        case _ if type(node) in _COMPARISONS and isinstance(node.expression, exp.Null):
            yield Mistake("nothing equals null", "write `is null` or `is not null`", *place)
        case exp.Is() if not isinstance(node.expression, exp.Null | exp.Boolean):
            yield Mistake("`is` takes null, true or false", "use = for anything else", *place)
        case exp.In():
            if not node.expressions:
                yield Mistake("`in` takes a list of values", "write in ('a', 'b')", *place)
            for one in node.expressions:
                if not _is_value(one):
                    message = f"{_told(one)} in a list is neither a value nor an attribute"
                    yield Mistake(message, "", *_place(one, text))
        case exp.Like() if not _is_text(node.expression) or "\\" in node.expression.this:
            message = "`like` takes a pattern that is written out, without a backslash"
            yield Mistake(message, "an attribute in it could be a pattern itself", *place)
        case exp.Neg() if not isinstance(node.this, exp.Literal) or node.this.is_string:
            yield Mistake("only a number can be negative", "", *place)
        case exp.Literal() if not node.is_string and not _NUMBER.fullmatch(str(node.this)):
            yield Mistake(f"{node.this:.40} is no number", "", *place)


def _column_mistakes(node: exp.Column, place: tuple[int, int]) -> Iterator[Mistake]:
    if not isinstance(node.this, exp.Identifier):
        yield Mistake("`*` is no column", "", *place)
    elif node.table and node.table != PRINCIPAL:
        hint = f"write `{node.name}` alone, or principal.{node.name} for an attribute of who asks"
        yield Mistake(f"there is no `{node.table:.64}` in a predicate", hint, *place)
    elif node.table and not ATTRIBUTE.fullmatch(node.name):
        hint = "1 to 64 of a-z 0-9 _, beginning with a letter"
        yield Mistake(f"`{node.name:.64}` is no name of an attribute", hint, *place)


_NUMBER: Final = re.compile(r"\d{1,30}(\.\d{1,30})?")


def _is_attribute(node: Any) -> bool:
    return isinstance(node, exp.Column) and bool(node.table)


def _is_text(node: Any) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _is_value(node: Any) -> bool:
    return isinstance(node, exp.Literal | exp.Boolean | exp.Neg) or _is_attribute(node)


def _told(node: Any) -> str:
    """What a node is called in a message: never more than its kind and its name."""
    if type(node) in _NAMES:
        return _NAMES[type(node)]
    if isinstance(node, exp.Column):
        return f"`{node.sql()[:64]}`"
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name[:64]}"
    if isinstance(node, exp.Func) and not isinstance(node, exp.Condition):
        return f"the function {node.sql_name()}"
    return type(node).__name__.upper()


_NAMES: Final[Mapping[type, str]] = {
    exp.Subquery: "a query",
    exp.Select: "a query",
    exp.Parameter: "a parameter",
    exp.Placeholder: "a parameter",
    exp.Cast: "a cast",
    exp.Literal: "a value",
    exp.Null: "null",
    exp.Tuple: "a row of values",
}


def _place(node: Any, text: str) -> tuple[int, int]:
    """Where a node stands, as far as its words tell; all of the text where they do not."""
    ends = [(one.meta["start"], one.meta["end"] + 1) for one in node.walk() if "start" in one.meta]
    if not ends:
        return 0, len(text)
    return min(start for start, _ in ends), max(end for _, end in ends)


def _syntax(error: SqlglotError, text: str) -> Mistake:
    told: list[dict[str, Any]] = getattr(error, "errors", [])
    if not told:
        return Mistake("it cannot be read as SQL", "", 0, len(text))
    one = told[0]
    lines = text.split("\n")
    end = sum(len(line) + 1 for line in lines[: one["line"] - 1]) + one["col"]
    word = str(one["highlight"] or "")
    near = nearest(word, ("and", "or", "not", "is", "in", "between", "like", "null", "coalesce"))
    return Mistake(f"it cannot be read as SQL, at {word!r:.60}", near, max(0, end - len(word)), end)


def _depth(text: str) -> int:
    """Brackets inside one another, whatever they stand in."""
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        deepest = max(deepest, depth)
    return deepest


def _height(root: exp.Expr) -> int:
    ahead, height = [(root, 1)], 0
    while ahead:
        node, depth = ahead.pop()
        height = max(height, depth)
        ahead += ((one, depth + 1) for one in node.iter_expressions())
    return height


# --- writing -----------------------------------------------------------------------------


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
            case _ if (sign := _COMPARISONS.get(type(node))) is not None:
                left = self._value(node.this, node.expression)
                return f"({left} {sign} {self._value(node.expression, node.this)})"
        return self._value(node)

    def _in(self, node: exp.In) -> str:
        values: list[str] = []
        for one in node.expressions:
            if _is_attribute(one):
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
                return _quoted(self._column(node).name)
            case exp.Literal():
                return _text(node.this) if node.is_string else str(node.this)
            case exp.Boolean():
                return "TRUE" if node.this else "FALSE"
            case exp.Null():
                return "NULL"
            case exp.Neg():
                return f"-{node.this.this}"
            case exp.Paren():
                return self._value(node.this, other)
            case _ if (name := _FUNCTIONS.get(type(node))) is not None:
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
        literal = None if write is None or "\x00" in text else write(text)
        if literal is None:
            raise Unbound(f"the attribute {name} does not fit what it is compared with ({kind})")
        return literal

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


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_LITERALS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "integer": _whole,
    "decimal": _number,
    "float": _number,
    "boolean": _truth,
    **dict.fromkeys(("text", "uuid", "date", "time", "timestamp"), _text),
}


def named(names: Mapping[str, object] | tuple[str, ...], name: str) -> str | None:
    """The one that a rule means: spelt the same, or the only one but for capital letters."""
    if name in names:
        return name
    near = [one for one in names if one.casefold() == name.casefold()]
    return near[0] if len(near) == 1 else None
