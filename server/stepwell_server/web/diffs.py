"""Two texts side by side, line by line."""

from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias

from msgspec import Struct

MOST_LINES: Final = 1500
MOST_CHARACTERS: Final = 200_000
"""Of either text: comparing takes time that grows with the square of it."""
MOST_PAIRS: Final = 20_000
"""Of equal lines, one of each text, between the first and the last change: it grows faster still with them.
An agent that sends a thousand equal lines would otherwise keep the page busy for a minute."""
AROUND: Final = 4
"""Lines that are shown around a change."""


_Block: TypeAlias = tuple[str, int, int, int, int]


class Row(Struct, frozen=True, kw_only=True):
    """A line of each text; `gap` is how many are left out here. A number is 0 where there is no line."""

    kind: Literal["same", "changed", "removed", "added", "gap"]
    left: str = ""
    right: str = ""
    left_number: int = 0
    right_number: int = 0
    gap: int = 0


def compared(old: str, new: str) -> tuple[Row, ...] | None:
    """The rows of a comparison; None where the texts are too long to be compared."""
    left, right = old.split("\n"), new.split("\n")
    if max(len(left), len(right)) > MOST_LINES or max(len(old), len(new)) > MOST_CHARACTERS:
        return None
    blocks = _blocks(left, right)
    if blocks is None:
        return None
    rows: list[Row] = []
    for position, (tag, i, j, k, m) in enumerate(blocks):
        if tag == "equal":
            is_first, is_last = position == 0, position == len(blocks) - 1
            rows += _same(left, i, j, k, before=not is_first, after=not is_last)
        else:
            rows += _changed(left[i:j], right[k:m], i, k)
    return tuple(rows)


def _blocks(left: list[str], right: list[str]) -> list[_Block] | None:
    """Which lines are equal and which are not; None where to find out takes too long."""
    shorter = min(len(left), len(right))
    head = _equal_from(left, right, shorter)
    tail = _equal_from(left[::-1], right[::-1], shorter - head)
    middle, other = left[head : len(left) - tail], right[head : len(right) - tail]
    counts = Counter(other)
    if sum(counts[line] for line in middle) > MOST_PAIRS:
        return None
    found = SequenceMatcher(None, middle, other, autojunk=False).get_opcodes()
    blocks: list[_Block] = [("equal", 0, head, 0, head)] if head else []
    blocks += [(tag, i + head, j + head, k + head, m + head) for tag, i, j, k, m in found]
    if tail:
        blocks.append(("equal", len(left) - tail, len(left), len(right) - tail, len(right)))
    return blocks


def _equal_from(left: list[str], right: list[str], most: int) -> int:
    """How many lines at the beginning are the same."""
    for number in range(most):
        if left[number] != right[number]:
            return number
    return most


def _same(
    lines: list[str], begin: int, end: int, other: int, *, before: bool, after: bool
) -> Iterator[Row]:
    """Lines that both have, without those far from any change."""
    head = begin + AROUND if before else begin
    tail = end - AROUND if after else end
    for number in range(begin, end):
        if head <= number < tail and tail - head > 1:
            if number == head:
                yield Row(kind="gap", gap=tail - head)
            continue
        text = lines[number]
        yield Row(
            kind="same",
            left=text,
            right=text,
            left_number=number + 1,
            right_number=other + number - begin + 1,
        )


def _changed(left: list[str], right: list[str], i: int, k: int) -> Iterator[Row]:
    for offset in range(max(len(left), len(right))):
        has_left, has_right = offset < len(left), offset < len(right)
        yield Row(
            kind="changed" if has_left and has_right else "removed" if has_left else "added",
            left=left[offset] if has_left else "",
            right=right[offset] if has_right else "",
            left_number=i + offset + 1 if has_left else 0,
            right_number=k + offset + 1 if has_right else 0,
        )
