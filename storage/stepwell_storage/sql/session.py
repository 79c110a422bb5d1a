"""What code that writes may ask of a database, inside one transaction of its writer."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import sqlalchemy as sa

T = TypeVar("T")


class Session(Protocol):
    """An open transaction. Lives on the writer's thread, and only as long as it writes."""

    def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives back."""
        ...

    def change(self, statement: sa.Executable, **values: Any) -> int:
        """Carries a statement out; tells how many rows it concerned."""
        ...

    def add_missing(self, table: sa.Table, values: Sequence[Any]) -> None:
        """Adds rows, but not those that a unique index has already.

        `values` are those of all columns of the table, one row after another.
        """
        ...

    def add_up(self, table: sa.Table, values: Sequence[Any]) -> None:
        """As `add_missing`; of rows that are there the columns `used` and `reserved` become the sums.

        No key may come twice.
        """
        ...

    def announce(self) -> None:
        """Once this is committed, wakes who waits for a letter, a run to claim or a free place."""
        ...


Job: TypeAlias = Callable[[Session], T]
"""Something to do in a transaction of its own; all of it is undone when it raises."""


def sums(table: sa.Table, added: sa.ColumnCollection[str, Any]) -> dict[str, Any]:
    """What `add_up` makes of a row that is there."""
    return {name: table.c[name] + added[name] for name in ("used", "reserved")}
