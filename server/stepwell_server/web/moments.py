"""Times as a page tells them: how long ago, how long left, and by the clock of this machine."""

from datetime import UTC, datetime
from typing import Final

_STEPS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def ago(now: int, at: int) -> str:
    """`5 min ago`; both in UTC microseconds."""
    return "just now" if now - at < 5_000_000 else f"{_length(now - at)} ago"


def left(now: int, at: int) -> str:
    """`in 5 h`, or `5 h ago`."""
    return f"in {_length(at - now)}" if at > now else ago(now, at)


def clock(at: int) -> str:
    """`2026-03-01 14:05:09 CET`."""
    return f"{_moment(at).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def iso(at: int) -> str:
    """What programs read."""
    return f"{_moment(at):%Y-%m-%dT%H:%M:%SZ}"


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1_000_000, UTC)


def _length(microseconds: int) -> str:
    seconds = microseconds // 1_000_000
    for size, unit in _STEPS:
        if seconds >= 2 * size or (seconds >= size and size <= 60):
            return f"{seconds // size} {unit}"
    return "a moment"
