"""Many values, as many as a statement may have at a time."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

MOST_VALUES = 500
"""In one question; databases limit how many values a statement may have."""


def shares(values: Collection[T]) -> Iterator[list[T]]:
    """All values, in lists that fit into a statement."""
    rest = iter(values)
    while share := list(islice(rest, MOST_VALUES)):
        yield share
