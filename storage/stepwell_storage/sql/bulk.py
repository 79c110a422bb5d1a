"""Statements over many rows at once.

A row at a time, the driver gives up the interpreter lock and takes it back for every row, and
beside a thread that computes without a pause each of these can cost a switch interval, 5 ms: rows
by the hundred went in 2.5 times as fast there, and 1.2 times as fast on an idle machine.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

MOST_ROWS = 256
"""A power of two. SQLite takes 32,766 values in one statement."""

FEW_ROWS = 8
"""Up to here, a statement for just this number of rows: a lone append should need only one."""

Rows: TypeAlias = list[tuple[sa.BindParameter[Any], ...]]


class Bulk:
    """A statement for any number of rows, compiled once: what a row adds to it is repeated."""

    def __init__(
        self,
        columns: Sequence[str],
        statement: Callable[[Rows], sa.ClauseElement],
        *,
        dialect: Dialect,
    ) -> None:
        """`width` tells afterwards how many values make a row."""
        self.width = len(columns)
        self._columns = tuple(columns)
        self._statement = statement
        self._dialect = dialect
        self._sql = cache(self._repeated)

    def run(self, execute: Callable[[str, Sequence[Any]], object], values: Sequence[Any]) -> None:
        """Hands the statement to `execute` as often as it takes for all rows in `values`."""
        start, end = 0, len(values)
        while start < end:
            rows = _step((end - start) // self.width)
            stop = start + rows * self.width
            execute(self._sql(rows), values[start:stop])
            start = stop

    def _repeated(self, rows: int) -> str:
        start, row, end = self._parts
        return start + row * (rows - 1) + end

    @cached_property
    def _parts(self) -> tuple[str, str, str]:
        """The text for one row, cut where another row goes in, and that row between.

        Compiling each size by itself held up the first appends of a daemon for 60 ms a table.
        """
        one, two = self._compiled(1), self._compiled(2)
        differs = (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
        cut = next(differs, len(one))
        row = two[cut : cut + len(two) - len(one)]
        assert two == one[:cut] + row + one[cut:], "two rows are one row, and another in its midst"
        return one[:cut], row, one[cut:]

    def _compiled(self, rows: int) -> str:
        parameters: Rows = [
            tuple(sa.bindparam(f"{column}_{row}") for column in self._columns)
            for row in range(rows)
        ]
        compiled = self._statement(parameters).compile(dialect=self._dialect)
        expected = [parameter.key for row in parameters for parameter in row]
        assert getattr(compiled, "positiontup", None) == expected, "values go in by position"
        return str(compiled)


def _step(left: int) -> int:
    """How many of the rows that are left go into the next statement."""
    return left if left <= FEW_ROWS else min(MOST_ROWS, 1 << (left.bit_length() - 1))
