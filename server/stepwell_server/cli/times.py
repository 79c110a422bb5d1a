"""Times as people read them: by the clock of their machine. Programs get UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """An engine time as an aware datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def time_of_day(at: datetime) -> str:
    """`14:05:09`."""
    return f"{at.astimezone():%H:%M:%S}"


def day_and_time(at: datetime) -> str:
    """`2026-03-01 14:05:09`."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
