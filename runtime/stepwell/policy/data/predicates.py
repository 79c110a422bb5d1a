"""Row filters: the SQL predicates of `@rows`, read when the policy is, written anew when it is used.

A predicate speaks of the columns of its own table, of values, and of what is known of the principal,
as `principal.tenant`. It is never handed to a database as it was written: what is read becomes a
tree of known nodes and nothing else (`predicate_nodes`), and SQL is made from that (`binding`).
"""

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from msgspec import Struct
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError

from stepwell.policy.data.predicate_nodes import Mistake, mistakes, place_of
from stepwell.policy.problems import nearest

MOST_TEXT: Final = 2000
"""Characters of a predicate."""

MOST_NESTING: Final = 16
MOST_DEPTH: Final = 32
"""How deep the tree of a predicate may be: longer chains of `or` are lists."""

# It warns of what it does not know, with the text.
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
_DIALECT: Final = Postgres()


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
        return tuple(
            (one.name, *place_of(one, self.text)) for one in self._columns if not one.table
        )

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
    wrong = list(mistakes(trees[0], text))
    return (None, wrong) if wrong else (Predicate(text, trees[0]), [])


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
