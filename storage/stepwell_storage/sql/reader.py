"""Reads, by an async engine of SQLAlchemy."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from stepwell_storage.errors import Unavailable


class Reader:
    """Answers statements that change nothing, each on what is committed when it begins."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives back.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            async with self._engine.connect() as connection:
                return [tuple(row) for row in await connection.execute(statement, values)]
        except SQLAlchemyError as error:
            raise Unavailable(f"The database could not be read: {error}") from error

    async def close(self) -> None:
        """Disconnects."""
        await self._engine.dispose()
