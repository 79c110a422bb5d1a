"""Writes values anew: columns, literals, parameters, and what is made of them by SQL's own words."""

import re
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from sqlglot import exp

from stepwell.nldb.guard.dialects import literal
from stepwell.nldb.guard.refusals import Refused
from stepwell.nldb.guard.scopes import masked, whole_row
from stepwell.nldb.guard.types import type_name
from stepwell.nldb.guard.words import words
from stepwell.nldb.guard.writer import EXPRESSIONS, THIS, Place, Writer, is_bare, not_rebuilt, only

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
_INTERVAL_UNITS: Final = frozenset({"YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"})
_COLLATIONS: Final[Mapping[str, frozenset[str]]] = {
    "sqlite": frozenset({"nocase", "binary", "rtrim"}),
    "postgres": frozenset({"C", "POSIX", "default", "ucs_basic", "und-x-icu", "en-x-icu"}),
}
_NUMBER: Final = re.compile(r"\d+\.?\d*([eE][+-]?\d{1,3})?|\.\d+([eE][+-]?\d{1,3})?")
_AMOUNT: Final = re.compile(r"-?\d{1,9}(\.\d{1,9})?")
_COLUMN_KEYS: Final = frozenset({"this", "table", "db", "catalog"})
_CAST_KEYS: Final = frozenset({"this", "to"})
_TRIM_KEYS: Final = frozenset({"this", "expression", "position"})
_SUBSTRING_KEYS: Final = frozenset({"this", "start", "length"})
_POSITION_KEYS: Final = frozenset({"this", "substr"})
_OVERLAY_KEYS: Final = frozenset({"this", "expression", "from_", "for_"})
_ZONE_KEYS: Final = frozenset({"this", "zone"})
_BRACKET_KEYS: Final = frozenset({"this", "expressions"})


class Values(Writer, ABC):
    """Writes values anew."""

    def _column(self, node: exp.Column, place: Place) -> str:
        only(node, _COLUMN_KEYS)
        if isinstance(node.this, exp.Star):
            raise whole_row(str(node.table))
        found = place.scope.find(node, with_aliases=place.aliases, aggregated=place.aggregated)
        if found.masked:
            self.masked_seen += 1
            if place.strict or (found.relation is not None and found.relation.is_changed):
                raise masked(found.column or str(node.name))
        if found.relation is not None and found.relation.is_changed:
            self.changed_seen += 1
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
        only(node, THIS)
        return f"({self.expression(node.this, place)})"

    def _tuple(self, node: exp.Tuple, place: Place) -> str:
        only(node, EXPRESSIONS)
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
            inner = inner.this if type(inner) is exp.Subquery and is_bare(inner) else inner
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
        only(node, THIS)
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

    values: ClassVar[Mapping[Any, Callable[..., str]]] = {
        **dict.fromkeys(_VALUES, _value),
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
    }


def _bound_of(node: object) -> str:
    """A bound of a slice: a whole number, or none."""
    if node is None:
        return ""
    if isinstance(node, exp.Literal) and str(node.this).isdigit():
        return str(node.this)
    raise Refused("sql.construct", "a slice that is not of whole numbers", "write array[1:2]")


def _is_plain(node: Any) -> bool:
    return isinstance(node, exp.Column | exp.Literal | exp.Null | exp.Boolean | exp.Neg)
