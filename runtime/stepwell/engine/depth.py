"""How deep values may be. Whoever writes, reads or checks one goes as deep, on the stack that it has left.

So what one place can still write another could not read: a run with such a value could not be
folded any more, nor cancelled. What comes in is held far below that.
"""

from collections.abc import Iterable
from math import isfinite
from typing import Final

from stepwell.engine.values import Json
from stepwell.errors import LimitExceeded

MAX_LEVELS: Final = 128
"""Maps and lists in one another, in whatever comes in or is computed."""


class TooDeep(LimitExceeded):
    """The value has more than 128 levels of maps and lists in one another; flatten it."""


def is_too_deep(value: Json) -> bool:
    """Whether a value has more than `MAX_LEVELS`."""
    level = _containers([value])
    for _ in range(MAX_LEVELS):
        if not level:
            return False
        level = _containers(
            part for whole in level for part in (whole.values() if type(whole) is dict else whole)
        )
    return bool(level)


def is_finite(value: Json) -> bool:
    """Whether all numbers of a value, which is not too deep, are numbers that JSON has."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or isfinite(value)


def _containers(parts: Iterable[Json]) -> list[Json]:
    return [part for part in parts if isinstance(part, dict | list)]
