"""Asking a database without changing it."""

from typing import Any, Protocol

import sqlalchemy as sa


class Reader(Protocol):
    """Answers statements that change nothing, each on what is committed when it begins."""

    async def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives back.

        Raises:
            Unavailable: the database does not answer.
        """
        ...

    async def close(self) -> None:
        """Disconnects."""
        ...
