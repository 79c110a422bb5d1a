"""The ledger: what calls did outside, whatever the log says of them.

`ledger_tools` appends a line for each call that has its effect. Every daemon that a test starts
writes to one file, which none of them reads.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from stepwell.engine.values import Json


class Line(NamedTuple):
    """One call that had its effect: when (UTC microseconds), in which life of which daemon."""

    at: int
    daemon: str
    life: int
    attempt: int
    key: str
    result: Json


class Ledger:
    """The file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def lines(self) -> list[Line]:
        """Every line, in the order in which they were written."""
        return [_line(text) for text in self.path.read_text().splitlines()]

    def size(self) -> int:
        """How many lines it has; an orphan may be writing one more."""
        return self.path.read_bytes().count(b"\n")

    def line_of(self, key: str) -> Line | None:
        """What whoever looks for a key finds."""
        return next((line for line in self.lines() if line.key == key), None)


def _line(text: str) -> Line:
    at, daemon, life, attempt, key, result = text.split(" ", 5)
    return Line(int(at), daemon, int(life), int(attempt), key, msgspec.json.decode(result))
