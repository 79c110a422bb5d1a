"""What an answer must be, and whether rows that a tool brought back are that answer.

A cell is read by the type of its column and written in one canonical way, so that SQLite and
PostgreSQL, drivers and JSON come to the same text. Names of columns are not compared: an answer may
call them what it likes and put them in any order.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from itertools import permutations
from typing import Literal, TypeAlias

import msgspec

ColumnType: TypeAlias = Literal["text", "integer", "decimal", "date"]
Cell: TypeAlias = str | int | None
Rows: TypeAlias = Sequence[Sequence[object]]


class Unreadable(ValueError):
    """A cell cannot be of the type that its column has in the expected answer."""


class Gold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """SQL that answers a question, and the answer itself.

    `columns` are those that an answer must have, with their types, in the order of `sql`. Rows are
    inline as JSON, or known by their number and the SHA-256 of their canonical text.
    """

    sql: str
    postgres: str | None = None
    columns: dict[str, ColumnType]
    ordered: bool = False
    extra_columns: bool = True
    rows: str | None = None
    row_count: int
    sha256: str

    @property
    def types(self) -> tuple[ColumnType, ...]:
        """The types of the columns that an answer must have."""
        return tuple(self.columns.values())


def canonical_cell(value: object, column_type: ColumnType) -> Cell:
    """Write a cell as the expected answers do; NULL stays NULL in every type.

    Raises:
        Unreadable: the value is not of that type.
    """
    if value is None:
        return None
    match column_type:
        case "text":
            if isinstance(value, str):
                return value
        case "integer":
            number = _number(value)
            if number == number.to_integral_value():
                return int(number)
        case "decimal":
            return str(_number(value).quantize(Decimal("0.01"), ROUND_HALF_UP))
        case "date":
            return _day(value).isoformat()
    raise Unreadable(f"{value!r} is not of type {column_type}")


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise Unreadable(f"{value!r} is not a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Unreadable(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise Unreadable(f"{value!r} is not a finite number")
    return number


def _day(value: object) -> date:
    """Every instant of the data is a midnight, so that a day says all of it."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise Unreadable(f"{value!r} is not a date") from None
    if isinstance(value, datetime):
        if value.time() != time():
            raise Unreadable(f"{value} is not a midnight")
        return value.date()
    if isinstance(value, date):
        return value
    raise Unreadable(f"{value!r} is not a date")


def canonical_text(rows: Rows, types: Sequence[ColumnType], *, ordered: bool) -> str:
    """Write rows as JSON without spaces, sorted by their text unless their order matters.

    Raises:
        Unreadable: a value is not of the type of its column.
    """
    lines = [
        json.dumps(
            [canonical_cell(cell, kind) for cell, kind in zip(row, types, strict=True)],
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for row in rows
    ]
    return "[" + ",".join(lines if ordered else sorted(lines)) + "]"


def digest(text: str) -> str:
    """The SHA-256 of a canonical text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_answer(gold: Gold, rows: Rows) -> bool:
    """Whether rows are the expected answer, whatever their columns are called."""
    if len(rows) != gold.row_count:
        return False
    return _has_columns(gold, gold.types, gold.sha256, rows) or _has_joined_names(gold, rows)


def _has_columns(gold: Gold, types: Sequence[ColumnType], sha256: str, rows: Rows) -> bool:
    width = len(rows[0])
    if width < len(types) or (width > len(types) and not gold.extra_columns):
        return False
    return any(
        _is_digest_of(sha256, [[row[place] for place in places] for row in rows], types, gold)
        for places in permutations(range(width), len(types))
    )


def _is_digest_of(sha256: str, rows: Rows, types: Sequence[ColumnType], gold: Gold) -> bool:
    try:
        return digest(canonical_text(rows, types, ordered=gold.ordered)) == sha256
    except Unreadable:
        return False


def _has_joined_names(gold: Gold, rows: Rows) -> bool:
    """A first and a last name may come as one text."""
    if gold.rows is None or list(gold.columns)[:2] != ["FirstName", "LastName"]:
        return False
    expected: list[list[Cell]] = json.loads(gold.rows)
    joined = [[f"{first} {last}", *others] for first, last, *others in expected]
    types: tuple[ColumnType, ...] = gold.types[1:]
    text = canonical_text(joined, types, ordered=gold.ordered)
    return _has_columns(gold, types, digest(text), rows)
