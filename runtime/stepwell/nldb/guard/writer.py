"""What writes a statement anew, part by part: what has no line here cannot be part of a statement."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlglot import exp

from stepwell.nldb.guard.functions import (
    MOST_GROWTH,
    Functions,
)
from stepwell.nldb.guard.parsing import MARK
from stepwell.nldb.guard.refusals import Refused, nearest
from stepwell.nldb.guard.relations import Output
from stepwell.nldb.guard.scopes import Ctes, Scope, masked
from stepwell.nldb.model import Dialect

OPERATOR_KEYS: Final = frozenset(
    {"this", "expression", "safe", "typed", "only_json_types", "scalar_only", "negate"}
)
THIS: Final = frozenset({"this"})
EXPRESSIONS: Final = frozenset({"expressions"})


class Place(NamedTuple):
    """Where an expression stands."""

    scope: Scope
    ctes: Ctes
    strict: bool = False
    """Whether a value decides something here, so that no masked column may stand here."""
    aliases: bool = False
    """Whether names of the select list are known here."""
    aggregated: bool = False
    growth: int = 1
    """How many times longer a text can become on the way from here to the top."""
    multiplies: bool = False
    """Whether it becomes longer by more than what is put beside it."""

    def strictly(self) -> "Place":
        """The same place, where no masked column may stand."""
        return self if self.strict else self._replace(strict=True)


class Written(NamedTuple):
    """A query, written anew."""

    text: str
    columns: tuple[Output, ...]


class Writer(ABC):
    """A statement on its way from the tree to the text: what all that writes a part of it shares."""

    def __init__(self, dialect: Dialect, functions: Functions) -> None:
        self.dialect: Dialect = dialect
        self.functions = functions
        self.parameters: list[str] = []
        self.masked_seen = 0
        """How often a masked column was written: a mark of what depends on one."""
        self.changed_seen = 0
        """How often a column was written of the table that the statement changes."""
        self.columns_read: dict[tuple[str, str], None] = {}
        self.growth = 1
        """How many times longer the expression at hand can be than what it is made of."""
        self.kept = 0
        """How many times longer than what is read the rows are of which one value is made."""
        self.recurring = 0
        """How often what a recursion gave stands in the expression at hand."""

    @abstractmethod
    def query(self, node: exp.Expr, outer: Scope | None, ctes: Ctes) -> Written:
        """The query written anew, without parentheses around it."""

    @abstractmethod
    def expression(self, node: object, place: Place) -> str:
        """The expression written anew.

        Raises:
            Refused: something in it is not allowed.
        """

    def _comparable(self, node: exp.Expr, place: Place) -> str:
        """A query of which the values decide."""
        inner = node.this if type(node) is exp.Subquery and is_bare(node) else node
        written = self.query(inner, place.scope, place.ctes)
        for column in written.columns:
            if column.masked:
                raise masked(column.name)
        return written.text

    def _quantified(self, node: Any, place: Place) -> str:
        if isinstance(node, exp.Query):
            return f"({self._comparable(node, place)})"
        inner = node.this if type(node) is exp.Paren else node
        return f"({self.expression(inner, place.strictly())})"

    def grow(self, place: Place, growth: int, *, recurs: bool = False) -> None:
        """Notes how long the expression at hand can be, by one of its parts at this place.

        Raises:
            Refused: by sql.growth.
        """
        if self.dialect == "sqlite":  # whose sandbox has a bound for every value
            return
        if place.growth * growth > MOST_GROWTH:
            raise too_long("the statement")
        self.growth = max(self.growth, place.growth * growth)
        if recurs:
            self.recurring += 1
            if place.growth > 1 and (place.multiplies or self.recurring > 1):
                raise too_long("the recursion")

    def _multiplied(self, factor: int, place: Place, what: str) -> Place:
        if factor <= 1:
            return place
        return self._put_together(factor, place, what)._replace(multiplies=True)

    def _put_together(self, factor: int, place: Place, what: str) -> Place:
        if factor <= 1:
            return place
        growth = place.growth * factor
        if growth > MOST_GROWTH:
            raise too_long(what)
        return place._replace(growth=growth)

    def expressions(self, nodes: Sequence[object], place: Place) -> str:
        """Several of them, with commas."""
        return ", ".join([self.expression(node, place) for node in nodes])


def only(node: exp.Expr, keys: frozenset[str]) -> None:
    """Sees that a node of the tree has no part but these.

    Raises:
        Refused: by sql.construct.
    """
    for key, value in node.args.items():
        if value is not None and value is not False and value != [] and key not in keys:
            raise not_rebuilt(node, key)


def not_rebuilt(node: object, part: str = "") -> Refused:
    """The refusal of what there is no line for."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).upper()
    of = f" with {part.strip('_')}" if part else ""
    return Refused(
        "sql.construct",
        f"{name}{of} is a part of SQL that is not possible here",
        "write it with plain SELECT, JOIN, WHERE, GROUP BY, CASE and common table expressions",
    )


def unknown_function(name: str, functions: Functions) -> Refused:
    """The refusal of a function that is not in the list."""
    shown = name.removeprefix(MARK).lower()
    return Refused(
        "sql.function",
        f"the function {shown}() is not one that may be called",
        nearest(shown, functions) or "use functions that only compute; a policy can open others",
    )


def too_long(what: str) -> Refused:
    """The refusal of what makes a long text of a short one."""
    return Refused(
        "sql.growth",
        f"{what} makes a text very long",
        "nest fewer functions that repeat, replace or quote, and join each text once",
    )


def is_bare(node: exp.Subquery) -> bool:
    """Whether nothing is said of a query in parentheses but the query."""
    return not any(
        value is not None and value is not False and value != []
        for key, value in node.args.items()
        if key != "this"
    )
