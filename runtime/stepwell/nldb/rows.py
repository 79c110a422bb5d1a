"""The rows of a result as JSON that is safe to hand to a model: capped, and it says so."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.nldb.limits import Limits


class Long(Struct, frozen=True):
    """The beginning of a text, or none of some bytes, and how long all of it is."""

    beginning: str | None
    size: int


class Rows(Struct, frozen=True, kw_only=True):
    """What a query gave, as far as its limits let it.

    `total` is None when there are more rows than are here. `truncated` tells that there are, or
    that a value was cut; `notes` say which.
    """

    columns: tuple[str, ...]
    rows: list[list[Json]]
    total: int | None
    truncated: bool
    notes: tuple[str, ...]
    sight: str = ""
    """Names what whoever asked might see of which database."""


def shaped(columns: Sequence[str], rows: Iterable[Sequence[Any]], limits: Limits) -> Rows:
    """All rows that the limits let through; at most one row more is taken from `rows`."""
    shaper = Shaper(columns, limits)
    for row in rows:
        if not shaper.keep(row):
            break
    return shaper.result()


class Shaper:
    """Takes one row after the other, until there is no room for more."""

    def __init__(self, columns: Sequence[str], limits: Limits) -> None:
        self._columns = tuple(columns)
        self._limits = limits
        self._left = limits.size
        self._is_full = False
        self._kept: list[list[Json]] = []
        self._notes: dict[str, None] = {}

    def keep(self, row: Sequence[Any]) -> bool:
        """Whether there was room for the row; after the first that had none there is no more."""
        count = len(self._kept)
        more = f"only the first {count} rows are here, there are more"
        if count == self._limits.rows:
            return self._stop(more)
        cells = [self._cell(value) for value in row]
        self._left -= len(msgspec.json.encode(cells)) + 1
        if self._left < 0:
            return self._stop(f"{more}: they have more than {self._limits.size} bytes")
        self._kept.append(cells)
        return True

    def result(self) -> Rows:
        """What was kept."""
        return Rows(
            columns=self._columns,
            rows=self._kept,
            total=None if self._is_full else len(self._kept),
            truncated=bool(self._notes),
            notes=tuple(self._notes),
        )

    def _stop(self, note: str) -> bool:
        self._is_full = True
        self._note(note)
        return False

    def _cell(self, value: Any) -> Json:
        match value:
            case Long(beginning=None):
                return f"<{value.size} bytes>"
            case Long():
                self._note(f"values of more than {self._limits.cell} characters are cut")
                return f"{value.beginning}… ({value.size} characters)"
            case None | bool() | int():
                return value
            case float():
                return value if math.isfinite(value) else str(value)
            case str() if len(value) > self._limits.cell:
                self._note(f"values of more than {self._limits.cell} characters are cut")
                return f"{value[: self._limits.cell]}… ({len(value)} characters)"
            case str():
                return value
            case bytes() | bytearray() | memoryview():
                return f"<{len(value)} bytes>"
            case Decimal():
                return str(value)
            case _:
                return self._cell(str(value))

    def _note(self, note: str) -> None:
        self._notes[note] = None
