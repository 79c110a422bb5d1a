"""How values of Python are spelled in a document."""

from datetime import UTC, datetime, timedelta

from stepwell.durations import wanted_timedelta
from stepwell.engine.values import Json

_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


def present(**entries: Json) -> dict[str, Json]:
    """The entries that were given: what is not said is left to the format."""
    return {key: value for key, value in entries.items() if value is not None}


def duration(what: str, length: timedelta | None) -> str | None:
    """A duration in its largest unit: `5m`, `90s`, `1500ms`; None is None.

    Raises:
        TypeError: it is no timedelta, or has parts of a millisecond.
    """
    if length is None:
        return None
    if not isinstance(length, timedelta):
        raise TypeError(f"{what} must be {wanted_timedelta(length)}")
    for name, unit in _UNITS.items():
        if length % unit == timedelta(0):
            return f"{length // unit}{name}"
    raise TypeError(f"{what} must be a whole number of milliseconds, it is {length!r}")


def instant(what: str, moment: datetime) -> str:
    """A point in time as RFC 3339, in UTC: `2026-03-01T09:30:00Z`.

    Raises:
        TypeError: it is no datetime, or one without a time zone.
    """
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        example = "datetime(2026, 3, 1, tzinfo=UTC)"
        raise TypeError(
            f"{what} must be a datetime with a time zone, it is {moment!r:.60}; write {example}"
        )
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
