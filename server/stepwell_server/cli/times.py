"""Times as people read them: by the clock of their machine. Programs get UTC."""

from datetime import datetime


def time_of_day(at: datetime) -> str:
    """`14:05:09`."""
    return f"{at.astimezone():%H:%M:%S}"


def day_and_time(at: datetime) -> str:
    """`2026-03-01 14:05:09`."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
