"""Points in time and lengths of time, as data has them: RFC 3339 text, `90s`, or seconds."""

from datetime import UTC, datetime, timedelta

from stepwell.durations import parse_duration
from stepwell.engine.expressions import ExpressionError
from stepwell.engine.values import Json

MICROSECOND = timedelta(microseconds=1)
FARTHEST = 253_402_300_799_000_000
"""The last second of the year 9999, in UTC microseconds: RFC 3339 knows none later."""


def instant_text(at: int) -> str:
    """UTC microseconds as RFC 3339, for instance `2026-03-01T09:30:00Z`."""
    moment = datetime.fromtimestamp(0, UTC) + at * MICROSECOND
    return moment.isoformat().replace("+00:00", "Z")


def instant(value: Json) -> int:
    """The UTC microseconds of an RFC 3339 text.

    Raises:
        ExpressionError: it is none, or does not say its offset from UTC.
    """
    try:
        # Without an offset there is nothing that both are measured from: a TypeError.
        return (datetime.fromisoformat(value) - datetime.fromtimestamp(0, UTC)) // MICROSECOND
    except (TypeError, ValueError, OverflowError):
        wrong = "is no point in time; write 2026-03-01T09:30:00Z, with its offset"
        raise ExpressionError(f"{value!r:.80} {wrong}", unquoted=f"the value {wrong}") from None


def length(value: Json) -> int:
    """The microseconds of a number of seconds, or of a duration such as `90s`.

    Raises:
        ExpressionError: it is neither, or negative.
    """
    long: timedelta | None = None
    try:
        if isinstance(value, str):
            long = parse_duration(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            long = timedelta(seconds=value)
    except (ValueError, OverflowError):
        pass  # what it is instead is told below
    if long is None or long < timedelta(0):
        wrong = "is no length of time; write a number of seconds, or 90s, 5m, 2h, 3d"
        raise ExpressionError(f"{value!r:.80} {wrong}", unquoted=f"the value {wrong}")
    return long // MICROSECOND
