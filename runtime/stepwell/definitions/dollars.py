"""Amounts of money, in the authoring format."""

from decimal import Decimal, InvalidOperation
from typing import Any

from stepwell.definitions.problems import Path
from stepwell.definitions.shapes import refuse
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json

MICROS = 1_000_000
MOST = 1_000_000


class Dollars:
    """Dollars, as text or as a number; for the compiler in millionths."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """Millionths of a dollar."""
        wanted = f'dollars from 0 to {MOST}, with at most six digits after the point, like "0.50"'
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return refuse(value, path, sheet, wanted)
        try:
            micros = Decimal(str(value)) * MICROS
            if 0 <= micros <= MOST * MICROS and micros == int(micros):
                return int(micros)
        except (InvalidOperation, ValueError, OverflowError):
            pass
        return refuse(value, path, sheet, wanted)

    def schema(self) -> dict[str, Any]:
        """Text with a point, or a number."""
        text = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})?$"}
        return {"anyOf": [text, {"type": "number", "minimum": 0, "maximum": MOST}]}
