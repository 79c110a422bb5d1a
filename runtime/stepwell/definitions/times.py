"""The shapes that are about time; see `stepwell.definitions.shapes`."""

import re
from datetime import timedelta
from typing import Any

from msgspec import UNSET

from stepwell.definitions.problems import Path
from stepwell.definitions.shapes import Shape, refuse
from stepwell.definitions.sheet import Sheet
from stepwell.durations import LONGEST_TEXT, PATTERN, parse_duration
from stepwell.engine.expressions import ExpressionError
from stepwell.engine.instants import MICROSECOND, instant
from stepwell.engine.values import Json


class Duration:
    """A time with its unit: `500ms`, `30s`, `1h30m`, `3d`. Read as microseconds."""

    def __init__(self, *, days: int = 365) -> None:
        """`days` are the most that it may be."""
        self._days = days

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The duration in microseconds."""
        wanted = "a duration such as 500ms, 30s, 5m, 1h30m or 3d"
        try:
            length = parse_duration(value) if isinstance(value, str) else None
        except ValueError:
            length = None
        if length is None:
            is_number = isinstance(value, int) and not isinstance(value, bool)
            return refuse(value, path, sheet, wanted, f"write {value}s" if is_number else "")
        if not MICROSECOND <= length <= timedelta(days=self._days):
            return refuse(value, path, sheet, f"longer than nothing and at most {self._days}d")
        return length // MICROSECOND

    def schema(self) -> dict[str, Any]:
        """A string with units."""
        return {"type": "string", "pattern": PATTERN, "maxLength": LONGEST_TEXT}


_INSTANT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)


class Instant:
    """A point in time as RFC 3339 writes it: `2026-03-01T09:30:00Z`."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The text."""
        try:
            if isinstance(value, str) and re.fullmatch(_INSTANT, value):
                instant(value)
                return value
        except ExpressionError:
            pass  # there is no such day or hour
        return refuse(value, path, sheet, "a point in time such as 2026-03-01T09:30:00Z")

    def schema(self) -> dict[str, Any]:
        """A string with its pattern."""
        return {"type": "string", "pattern": _INSTANT}


class Wait:
    """What is waited for: a map with `for` or `until`, or the duration alone."""

    def __init__(self, length: Shape, full: Shape) -> None:
        self._length, self._full = length, full

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The map."""
        if isinstance(value, dict):
            return self._full.read(value, path, sheet)
        if isinstance(value, str) and value.startswith("="):
            hint = "write wait: { for: ... } or wait: { until: ... } around it"
            sheet.wrong(path, "this does not say whether it is a length or a point in time", hint)
            return UNSET
        return UNSET if self._length.read(value, path, sheet) is UNSET else {"for": value}

    def schema(self) -> dict[str, Any]:
        """Either of the two."""
        return {"anyOf": [self._length.schema(), self._full.schema()]}
