"""Writes expressions anew: what has no line here cannot be part of a statement."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from sqlglot import exp

from stepwell.nldb.guard.dialects import literal, quoted
from stepwell.nldb.guard.functions import (
    COMPARING,
    KEEPING,
    MOST_GROWTH,
    MOST_WIDTH,
    Function,
    Functions,
    is_bounded_format,
)
from stepwell.nldb.guard.parsing import ARROW, MARK
from stepwell.nldb.guard.refusals import Refused, nearest
from stepwell.nldb.guard.relations import Output
from stepwell.nldb.guard.scopes import Ctes, Relation, Scope, fold_identifier, masked, whole_row
from stepwell.nldb.guard.series import check_series
from stepwell.nldb.guard.types import type_name
from stepwell.nldb.guard.words import words
from stepwell.nldb.model import Dialect


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
_MATCHING: Final[Mapping[Any, tuple[str, str]]] = {
    exp.Like: ("LIKE", "NOT LIKE"),
    exp.ILike: ("ILIKE", "NOT ILIKE"),
    exp.Glob: ("GLOB", "NOT GLOB"),
    exp.SimilarTo: ("SIMILAR TO", "NOT SIMILAR TO"),
    exp.RegexpLike: ("~", "!~"),
    exp.RegexpILike: ("~*", "!~*"),
}
_ONLY_POSTGRES: Final = (exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike)
_OPERATOR_KEYS: Final = frozenset(
    {"this", "expression", "safe", "typed", "only_json_types", "scalar_only", "negate"}
)
_VALUES: Final = {
    exp.CurrentDate: "CURRENT_DATE",
    exp.CurrentTime: "CURRENT_TIME",
    exp.CurrentTimestamp: "CURRENT_TIMESTAMP",
    exp.Localtime: "LOCALTIME",
    exp.Localtimestamp: "LOCALTIMESTAMP",
    exp.Null: "NULL",
}
_FIELDS: Final = words("""century day decade dow doy epoch hour isodow isoyear julian microseconds millennium
    milliseconds minute month quarter second timezone timezone_hour timezone_minute week
    year""")
_OF_ROWS: Final = words("to_json to_jsonb row_to_json json_agg jsonb_agg")
"""What takes a row as a whole; the row of a table is what the policy shows of it."""
_PARTS_OF_INTERVALS: Final = words("years months weeks days hours mins secs")
_INTERVAL_UNITS: Final = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})
_COLLATIONS: Final[Mapping[str, frozenset[str]]] = {
    "sqlite": frozenset({"nocase", "binary", "rtrim"}),
    "postgres": frozenset({"C", "POSIX", "default", "ucs_basic", "und-x-icu", "en-x-icu"}),
}
_NUMBER: Final = re.compile(r"\d+\.?\d*([eE][+-]?\d{1,3})?|\.\d+([eE][+-]?\d{1,3})?")
_AMOUNT: Final = re.compile(r"-?\d{1,9}(\.\d{1,9})?")
_FREE_TEXT_GROWTH: Final = 100


_FIRST_LAST: Final = {True: "FIRST", False: "LAST"}
_THIS: Final = frozenset({"this"})
_EXPRESSIONS: Final = frozenset({"expressions"})
_BINARY_KEYS: Final = frozenset({"this", "expression"})
_BETWEEN_KEYS: Final = frozenset({"this", "low", "high", "symmetric"})
_IN_KEYS: Final = frozenset({"this", "expressions", "query"})
_CASE_KEYS: Final = frozenset({"this", "ifs", "default"})
_IF_KEYS: Final = frozenset({"this", "true"})
_COLUMN_KEYS: Final = frozenset({"this", "table", "db", "catalog"})
_CAST_KEYS: Final = frozenset({"this", "to"})
_TRIM_KEYS: Final = frozenset({"this", "expression", "position"})
_SUBSTRING_KEYS: Final = frozenset({"this", "start", "length"})
_POSITION_KEYS: Final = frozenset({"this", "substr"})
_OVERLAY_KEYS: Final = frozenset({"this", "expression", "from_", "for_"})
_ZONE_KEYS: Final = frozenset({"this", "zone"})
_BRACKET_KEYS: Final = frozenset({"this", "expressions"})
_ORDERED_KEYS: Final = frozenset({"this", "desc", "nulls_first"})
_WINDOW_KEYS: Final = frozenset({"this", "partition_by", "order", "spec", "alias", "over"})
_FRAME_KEYS: Final = frozenset({"kind", "start", "start_side", "end", "end_side", "exclude"})


class Expressions(ABC):
    """Writes expressions; queries in them are written by whoever derives from it."""

    def __init__(self, dialect: Dialect, functions: Functions) -> None:
        self.dialect: Dialect = dialect
        self.functions = functions
        self.parameters: list[str] = []
        self.masked_seen = 0
        """How often a masked column was written: a mark of what depends on one."""
        self.columns_read: dict[tuple[str, str], None] = {}
        self.growth = 1
        """How many times longer the expression at hand can be than what it is made of."""
        self.kept = 0
        """How many times longer than what is read the rows are of which one value is made."""
        self.recurring = 0
        """How often what a recursion gave stands in the expression at hand."""
        self._operators: Mapping[Any, str] = (
            _POSTGRES_OPERATORS if dialect == "postgres" else _SQLITE_OPERATORS
        )

    @abstractmethod
    def query(self, node: exp.Expr, outer: Scope | None, ctes: Ctes) -> Written:
        """The query written anew, without parentheses around it."""

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

    def expressions(self, nodes: Sequence[object], place: Place) -> str:
        """Several of them, with commas."""
        return ", ".join([self.expression(node, place) for node in nodes])

    def _chain(self, node: Any, place: Place) -> str:
        """An operator and those to its left, in the order of the text.

        The engine's own precedence decides again, as it would have decided.
        """
        parts: list[str] = []
        if isinstance(node, exp.DPipe):
            place = self._put_together(_joined(node), place, "||")
        while (operator := self._operators.get(type(node))) is not None:
            only(node, _OPERATOR_KEYS)
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

    def _match(self, node: Any, place: Place, *, negated: bool = False, escape: str = "") -> str:
        kind = type(node)
        if kind in _ONLY_POSTGRES and self.dialect == "sqlite":
            raise Refused("sql.operator", "an operator that SQLite does not have", "use LIKE")
        only(node, _OPERATOR_KEYS)
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
        only(node, _OPERATOR_KEYS)
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

    def _comparable(self, node: exp.Expr, place: Place) -> str:
        """A query of which the values decide."""
        inner = node.this if type(node) is exp.Subquery and _is_bare(node) else node
        written = self.query(inner, place.scope, place.ctes)
        for column in written.columns:
            if column.masked:
                raise masked(column.name)
        return written.text

    def _not(self, node: exp.Not, place: Place) -> str:
        only(node, _THIS)
        negating = self._negating.get(type(node.this))
        if negating is not None:
            return negating(self, node.this, place, negated=True)
        return f"NOT {self.expression(node.this, place.strictly())}"

    def _exists(self, node: exp.Exists, place: Place) -> str:
        only(node, _THIS)
        inner = node.this
        inner = inner.this if type(inner) is exp.Subquery and _is_bare(inner) else inner
        return f"EXISTS ({self.query(inner, place.scope, place.ctes).text})"

    def _subquery(self, node: exp.Subquery, place: Place) -> str:
        if not _is_bare(node):
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

    def _quantified(self, node: Any, place: Place) -> str:
        if isinstance(node, exp.Query):
            return f"({self._comparable(node, place)})"
        inner = node.this if type(node) is exp.Paren else node
        return f"({self.expression(inner, place.strictly())})"

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

    def _column(self, node: exp.Column, place: Place) -> str:
        only(node, _COLUMN_KEYS)
        if isinstance(node.this, exp.Star):
            raise whole_row(str(node.table))
        found = place.scope.find(node, with_aliases=place.aliases, aggregated=place.aggregated)
        if found.masked:
            self.masked_seen += 1
            if place.strict or (found.relation is not None and found.relation.is_changed):
                raise masked(found.column or str(node.name))
        if found.relation is not None and found.relation.policy is not None:
            self.columns_read[found.relation.policy.table.name, found.column] = None
        self.grow(place, found.growth, recurs=found.recurs)
        return found.text

    def _literal(self, node: exp.Literal, place: Place) -> str:
        text = node.this
        if node.is_string:
            self.grow(place, 1)
            return literal(text)
        if not _NUMBER.fullmatch(text):
            raise Refused("sql.syntax", "a number that is not one", "write plain digits")
        return str(text)

    def _boolean(self, node: exp.Boolean, _: Place) -> str:
        return "TRUE" if node.this else "FALSE"

    def _blob(self, node: exp.HexString, _: Place) -> str:
        digits = node.this
        if self.dialect == "postgres" or not re.fullmatch(r"([0-9A-Fa-f]{2})*", digits):
            raise Refused("sql.construct", "a literal of bits or bytes", "write a number or a text")
        return f"x'{digits}'"

    def _paren(self, node: exp.Paren, place: Place) -> str:
        only(node, _THIS)
        return f"({self.expression(node.this, place)})"

    def _tuple(self, node: exp.Tuple, place: Place) -> str:
        only(node, _EXPRESSIONS)
        return f"({self._parts(node.expressions, place)})"

    def _negative(self, node: exp.Neg, place: Place) -> str:
        value = self.expression(node.this, place)
        return f"- {value}" if value.startswith("-") else f"-{value}"

    def _bits_not(self, node: exp.BitwiseNot, place: Place) -> str:
        return f"~ {self.expression(node.this, place)}"

    def _cast(self, node: exp.Cast, place: Place) -> str:
        only(node, _CAST_KEYS)
        to = node.args["to"]
        if isinstance(to, exp.Interval):
            raise Refused("sql.type", "an interval type with a unit", "cast to interval")
        return f"CAST({self.expression(node.this, place)} AS {type_name(to, self.dialect)})"

    def _interval(self, node: exp.Interval, place: Place) -> str:
        unit = node.args.get("unit")
        amount = node.this
        if (
            self.dialect == "sqlite"
            or not isinstance(unit, exp.Var)
            or unit.this.upper() not in _INTERVAL_UNITS
            or not isinstance(amount, exp.Literal)
            or not _AMOUNT.fullmatch(amount.this)
        ):
            raise Refused(
                "sql.construct",
                "an interval that is not plain",
                "write INTERVAL '3 days' on PostgreSQL, date(x, '+3 days') on SQLite",
            )
        return f"INTERVAL '{amount.this}' {unit.this.upper()}"

    def _value(self, node: Any, _: Place) -> str:
        precision = node.args.get("this")
        text = _VALUES[type(node)]
        if precision is None:
            return text
        if not isinstance(precision, exp.Literal) or not str(precision.this).isdigit():
            raise not_rebuilt(node)
        return f"{text}({precision.this})"

    def _extract(self, node: exp.Extract, place: Place) -> str:
        field = str(node.this.this if isinstance(node.this, exp.Var | exp.Literal) else "").lower()
        if self.dialect == "sqlite" or field not in _FIELDS:
            raise Refused(
                "sql.function",
                "EXTRACT of a field that is not known",
                "use year, quarter, month, week, day, hour, minute, second, dow, doy or epoch; on "
                "SQLite strftime",
            )
        return f"EXTRACT({field} FROM {self.expression(node.expression, place)})"

    def _trim(self, node: exp.Trim, place: Place) -> str:
        only(node, _TRIM_KEYS)
        side = str(node.args.get("position") or "BOTH").upper()
        if side not in ("LEADING", "TRAILING", "BOTH"):
            raise not_rebuilt(node)
        characters = node.args.get("expression")
        what = "" if characters is None else f"{self.expression(characters, place)} "
        return f"TRIM({side} {what}FROM {self.expression(node.this, place)})"

    def _substring(self, node: exp.Substring, place: Place) -> str:
        only(node, _SUBSTRING_KEYS)
        text = f"SUBSTRING({self.expression(node.this, place)}"
        start, length = node.args.get("start"), node.args.get("length")
        if start is not None:
            text += f" FROM {self.expression(start, place)}"
        if length is not None:
            text += f" FOR {self.expression(length, place)}"
        return f"{text})"

    def _position(self, node: exp.StrPosition, place: Place) -> str:
        only(node, _POSITION_KEYS)
        part = self.expression(node.args["substr"], place)
        return f"POSITION({part} IN {self.expression(node.this, place)})"

    def _overlay(self, node: exp.Overlay, place: Place) -> str:
        only(node, _OVERLAY_KEYS)
        text = f"OVERLAY({self.expression(node.this, place)}"
        text += f" PLACING {self.expression(node.expression, place)}"
        text += f" FROM {self.expression(node.args['from_'], place)}"
        if (length := node.args.get("for_")) is not None:
            text += f" FOR {self.expression(length, place)}"
        return f"{text})"

    def _zone(self, node: exp.AtTimeZone, place: Place) -> str:
        only(node, _ZONE_KEYS)
        zone = self.expression(node.args["zone"], place)
        return f"{self.expression(node.this, place)} AT TIME ZONE {zone}"

    def _collate(self, node: exp.Collate, place: Place) -> str:
        name = str(node.expression.this) if node.expression is not None else ""
        known = _COLLATIONS[self.dialect]
        if (name.lower() if self.dialect == "sqlite" else name) not in known:
            raise Refused("sql.construct", "a collation that is not known", f"use {min(known)}")
        written = name.upper() if self.dialect == "sqlite" else f'"{name}"'
        return f"{self.expression(node.this, place)} COLLATE {written}"

    def _array(self, node: exp.Array, place: Place) -> str:
        if self.dialect == "sqlite":
            raise not_rebuilt(node)
        items = node.expressions
        if len(items) == 1 and isinstance(items[0], exp.Query):
            inner = items[0]
            inner = inner.this if type(inner) is exp.Subquery and _is_bare(inner) else inner
            written = self.query(inner, place.scope, place.ctes)
            self.masked_seen += sum(column.masked for column in written.columns)
            if place.strict and any(column.masked for column in written.columns):
                raise masked(written.columns[0].name)
            for column in written.columns:
                self.grow(place, column.growth, recurs=column.recurs)
                self.kept = max(self.kept, column.growth)
            return f"ARRAY({written.text})"
        return f"ARRAY[{self._parts(items, place)}]"

    def _parts(self, nodes: Sequence[Any], place: Place) -> str:
        """The parts of a row or an array: its text quotes theirs, and the next one's quotes that."""
        inner = self._multiplied(2, place, "a row or an array") if len(nodes) else place
        return ", ".join(
            [self.expression(node, place if _is_plain(node) else inner) for node in nodes]
        )

    def _bracket(self, node: exp.Bracket, place: Place) -> str:
        only(node, _BRACKET_KEYS)
        index = node.expressions[0] if len(node.expressions) == 1 else None
        if isinstance(index, exp.Slice) and self.dialect == "postgres":
            return f"{self._subscribed(node, place)}[{_bound_of(index.this)}:{_bound_of(index.expression)}]"
        if self.dialect == "sqlite" or not isinstance(index, exp.Literal) or index.is_string:
            raise Refused(
                "sql.construct", "a subscript that is not a whole number", "write array[1]"
            )
        inner = self._subscribed(node, place)
        # The parser counts from 0, whatever the dialect does.
        return f"{inner}[{int(index.this) + 1}]"

    def _subscribed(self, node: exp.Bracket, place: Place) -> str:
        inner = self.expression(node.this, place)
        return f"({inner})" if type(node.this) is exp.Anonymous else inner

    def _placeholder(self, node: exp.Placeholder, _: Place) -> str:
        only(node, _THIS)
        return self._parameter_text(str(node.this or ""))

    def _parameter(self, node: exp.Parameter, _: Place) -> str:
        number = node.this
        if (
            self.dialect == "postgres"
            and isinstance(number, exp.Literal)
            and str(number.this).isdigit()
        ):
            return self._parameter_text(str(number.this))
        name = number.this if isinstance(number, exp.Var) else ""
        raise Refused("sql.parameter", "a parameter of another style", f"write :{name or 'name'}")

    def _parameter_text(self, name: str) -> str:
        """The place of the parameter among the values; one without a name is a new one."""
        if not name:
            self.parameters.append(str(sum(p.isdigit() for p in self.parameters) + 1))
        elif name not in self.parameters:
            self.parameters.append(name)
        place = self.parameters.index(name) + 1 if name else len(self.parameters)
        return f"${place}" if self.dialect == "postgres" else f"?{place}"

    # Functions

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
                only(node, _EXPRESSIONS)
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

    _writers: ClassVar[Mapping[Any, Callable[..., str]]] = {
        **dict.fromkeys(_MATCHING, _match),
        **dict.fromkeys(_VALUES, _value),
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
        exp.Column: _column,
        exp.Literal: _literal,
        exp.Boolean: _boolean,
        exp.HexString: _blob,
        exp.Paren: _paren,
        exp.Tuple: _tuple,
        exp.Neg: _negative,
        exp.BitwiseNot: _bits_not,
        exp.Cast: _cast,
        exp.Interval: _interval,
        exp.Extract: _extract,
        exp.Trim: _trim,
        exp.Substring: _substring,
        exp.StrPosition: _position,
        exp.Overlay: _overlay,
        exp.AtTimeZone: _zone,
        exp.Collate: _collate,
        exp.Array: _array,
        exp.Bracket: _bracket,
        exp.Placeholder: _placeholder,
        exp.Parameter: _parameter,
        exp.Anonymous: _call,
        exp.Filter: _filter,
        exp.WithinGroup: _within,
        exp.Window: _window,
    }
    _negating: ClassVar[Mapping[Any, Callable[..., str]]] = {
        **dict.fromkeys(_MATCHING, _match),
        exp.Escape: _escape,
        exp.Is: _is,
        exp.Between: _between,
        exp.In: _in,
    }


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


def _bound_of(node: object) -> str:
    """A bound of a slice: a whole number, or none."""
    if node is None:
        return ""
    if isinstance(node, exp.Literal) and str(node.this).isdigit():
        return str(node.this)
    raise Refused("sql.construct", "a slice that is not of whole numbers", "write array[1:2]")


def too_long(what: str) -> Refused:
    """The refusal of what makes a long text of a short one."""
    return Refused(
        "sql.growth",
        f"{what} makes a text very long",
        "nest fewer functions that repeat, replace or quote, and join each text once",
    )


def _joined(node: Any) -> int:
    """How many texts a chain of operators puts one behind the other, that are no literals."""
    count = 0
    while isinstance(node, exp.Binary):
        count += not isinstance(node.expression, exp.Literal)
        node = node.this
    return count + (not isinstance(node, exp.Literal))


def _amount(function: Function, arguments: Sequence[Any]) -> int:
    if function.format and arguments and isinstance(arguments[0], exp.Literal):
        return str(arguments[0].this).count("%")
    return sum(not isinstance(argument, exp.Literal) for argument in arguments)


def _is_plain(node: Any) -> bool:
    return isinstance(node, exp.Column | exp.Literal | exp.Null | exp.Boolean | exp.Neg)


def _is_marked(name: object) -> bool:
    return isinstance(name, str) and name.startswith(MARK)


def _is_bare(node: exp.Subquery) -> bool:
    return not any(
        value is not None and value is not False and value != []
        for key, value in node.args.items()
        if key != "this"
    )


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
