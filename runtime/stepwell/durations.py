"""Durations as people write them: `500ms`, `30s`, `5m`, `1h30m`."""

import re
from datetime import timedelta

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
PATTERN = rf"^(?:{_PART.pattern})+$"
"""What a duration looks like, as a regular expression."""

LONGEST_TEXT = 32
"""Characters; what is longer is no duration, and digits without end would overflow."""


def parse_duration(text: str) -> timedelta:
    """Reads a duration; the units are d, h, m, s and ms, and may follow each other.

    Raises:
        ValueError: it is not a duration; the message shows what one looks like.
    """
    if len(text) > LONGEST_TEXT or not re.fullmatch(PATTERN, text):
        raise ValueError(
            f"{text[:LONGEST_TEXT]!r} is not a duration; write it like 500ms, 30s or 1h30m"
        )
    try:
        return sum((float(n) * _UNITS[unit] for n, unit in _PART.findall(text)), timedelta())
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than any duration can be") from error


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads as the same value, to the millisecond."""
    left = round(value / _UNITS["ms"])
    parts: list[str] = []
    for unit, size in _UNITS.items():
        count, left = divmod(left, size // _UNITS["ms"])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def wanted_timedelta(given: object) -> str:
    """The end of the sentence "X must be ..." for a value that should have been a timedelta."""
    example = "seconds=30"
    if isinstance(given, int | float) and not isinstance(given, bool):
        example = f"seconds={given:g}"
    elif isinstance(given, str) and (part := _PART.fullmatch(given.strip())):
        example = f"{_KEYWORDS[part[2]]}={part[1]}"
    return f"a timedelta, it is {given!r:.60}; write timedelta({example})"


_KEYWORDS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
