"""The shapes that are about time; see `stepwell.definitions.shapes`."""

from datetime import timedelta
from typing import Any

from stepwell.definitions.problems import Path
from stepwell.definitions.shapes import refuse
from stepwell.definitions.sheet import Sheet
from stepwell.durations import LONGEST_TEXT, PATTERN, parse_duration
from stepwell.engine.instants import MICROSECOND
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
