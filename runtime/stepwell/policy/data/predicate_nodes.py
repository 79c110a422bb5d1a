"""What a predicate may be made of, and what is wrong with one that is made of anything else."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from sqlglot import exp

PRINCIPAL: Final = "principal"
"""What stands before an attribute."""

ATTRIBUTE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")

_NUMBER: Final = re.compile(r"\d{1,30}(\.\d{1,30})?")

COMPARISONS: Final[Mapping[type, str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_PARTS: Final[Mapping[type, frozenset[str]]] = {
    **dict.fromkeys(COMPARISONS, frozenset({"this", "expression"})),
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

CONDITIONS: Final = (
    *COMPARISONS,
    *(exp.And, exp.Or, exp.Not, exp.Paren, exp.Is, exp.In, exp.Between, exp.Like),
    *(exp.Column, exp.Boolean),
)
FUNCTIONS: Final[Mapping[type, str]] = {
    exp.Lower: "lower",
    exp.Upper: "upper",
    exp.Length: "length",
    exp.Coalesce: "coalesce",
}
ALLOWED: Final = (
    "a predicate is made of columns, values, principal.NAME, = <> < <= > >=, and, or, not, is null, "
    "in (...), between, like, lower, upper, length and coalesce"
)


class Mistake(Struct, frozen=True):
    """What is wrong with a predicate, and where in its text: from `start` up to `end`."""

    message: str
    hint: str = ""
    start: int = 0
    end: int = 0


def mistakes(root: exp.Expr, text: str) -> Iterator[Mistake]:
    """All of them, in a tree that sqlglot has read from the text."""
    if not isinstance(root, CONDITIONS) or is_attribute(root):
        yield Mistake("it is not a condition", "write one, like tenant = 42", 0, len(text))
    ahead: list[exp.Expr] = [root]
    while ahead:
        node = ahead.pop()
        parts = _PARTS.get(type(node))
        if parts is None:
            yield Mistake(f"{_told(node)} cannot be in a predicate", ALLOWED, *place_of(node, text))
            continue
        given = {name for name, value in node.args.items() if value not in (None, False, [])}
        if extra := given - parts:
            what = f"{_told(node)} with {', '.join(sorted(extra))} cannot be in a predicate"
            yield Mistake(what, ALLOWED, *place_of(node, text))
            continue
        yield from _own_mistakes(node, text)
        if not isinstance(node, exp.Column):
            ahead += node.iter_expressions()


def _own_mistakes(node: exp.Expr, text: str) -> Iterator[Mistake]:
    place = place_of(node, text)
    match node:
        case exp.Column():
            yield from _column_mistakes(node, place)
        case exp.And() | exp.Or():
            for side in (node.this, node.expression):
                if not isinstance(side, CONDITIONS) or is_attribute(side):
                    message = f"{_told(side)} is not a condition"
                    yield Mistake(message, "", *place_of(side, text))
        case exp.Not() if not isinstance(node.this, CONDITIONS) or is_attribute(node.this):
            yield Mistake(f"{_told(node.this)} is not a condition", "", *place_of(node.this, text))
        case _ if type(node) in COMPARISONS and isinstance(node.expression, exp.Null):
            yield Mistake("nothing equals null", "write `is null` or `is not null`", *place)
        case exp.Is() if not isinstance(node.expression, exp.Null | exp.Boolean):
            yield Mistake("`is` takes null, true or false", "use = for anything else", *place)
        case exp.In():
            if not node.expressions:
                yield Mistake("`in` takes a list of values", "write in ('a', 'b')", *place)
            for one in node.expressions:
                if not _is_value(one):
                    message = f"{_told(one)} in a list is neither a value nor an attribute"
                    yield Mistake(message, "", *place_of(one, text))
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


def is_attribute(node: Any) -> bool:
    """Whether it is of the principal, and no column."""
    return isinstance(node, exp.Column) and bool(node.table)


def _is_text(node: Any) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _is_value(node: Any) -> bool:
    return isinstance(node, exp.Literal | exp.Boolean | exp.Neg) or is_attribute(node)


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


def place_of(node: Any, text: str) -> tuple[int, int]:
    """Where a node stands, as far as its words tell; all of the text where they do not."""
    ends = [(one.meta["start"], one.meta["end"] + 1) for one in node.walk() if "start" in one.meta]
    if not ends:
        return 0, len(text)
    return min(start for start, _ in ends), max(end for _, end in ends)
