"""Reads: threads of our own, each on a connection of SQLAlchemy's pool.

SQLAlchemy's async engine would do, but it brings the whole ORM along (6 MB, and a tenth of a
second until the daemon listens) and spends twice the CPU on a statement.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from stepwell_storage.errors import Unavailable

AT_ONCE: Final = 4
"""How many statements are answered at the same time; the pool needs as many connections."""


class Reader:
    """Answers statements that change nothing, each on what is committed when it begins."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stepwell-reader")

    async def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives back.

        Raises:
            Unavailable: the database does not answer.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._rows, statement, values)

    async def close(self) -> None:
        """Disconnects, when what is being read has been."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    def _rows(self, statement: sa.Executable, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.execute(statement, values)]
        except SQLAlchemyError as error:
            raise Unavailable(f"The database could not be read: {error}") from error
