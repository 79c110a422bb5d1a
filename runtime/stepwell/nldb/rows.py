"""The rows of a result as JSON that is safe to hand to a model: capped, and it says so."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from stepwell.engine.values import Json
from stepwell.nldb.limits import Limits


def shaped(columns: Sequence[str], rows: Iterable[Sequence[Any]], limits: Limits) -> Json:
    """The result as `{columns, rows, returned, truncated, notes}`.

    At most one row more than the limit is taken from `rows`.
    """
    shaper = _Shaper(limits)
    kept = shaper.keep(rows)
    return {
        "columns": list(columns),
        "rows": kept,
        "returned": len(kept),
        "truncated": bool(shaper.notes),
        "notes": list(shaper.notes),
    }


class _Shaper:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.notes: dict[str, None] = {}

    def keep(self, rows: Iterable[Sequence[Any]]) -> list[list[Json]]:
        kept: list[list[Json]] = []
        left = self._limits.size
        for row in rows:
            if len(kept) == self._limits.rows:
                self._note(f"only the first {len(kept)} rows are here, there are more")
                break
            cells = [self._cell(value) for value in row]
            left -= len(msgspec.json.encode(cells)) + 1
            if left < 0:
                self._note(
                    f"only the first {len(kept)} rows are here, there are more: "
                    f"they have more than {self._limits.size} bytes"
                )
                break
            kept.append(cells)
        return kept

    def _cell(self, value: Any) -> Json:
        match value:
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
        self.notes[note] = None
