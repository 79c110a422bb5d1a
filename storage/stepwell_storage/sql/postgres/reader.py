"""How PostgreSQL is read: on a few asynchronous connections of psycopg."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from stepwell_storage.errors import Unavailable
from stepwell_storage.sql.postgres.connection import (
    AsyncConnection,
    NoAnswer,
    Row,
    Server,
    is_usable,
    refusal,
)
from stepwell_storage.sql.postgres.dialect import PostgresStatements

AT_ONCE: Final = 4
"""How many statements are answered at the same time, each on a connection of its own."""


class PostgresReader:
    """Connects when it is first asked, when all connections are busy, and when one was lost."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._places = asyncio.Semaphore(AT_ONCE)
        self._idle: list[AsyncConnection] = []
        self._is_closed = False
        self._statements = PostgresStatements()

    async def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        sql, given = self._statements.one(statement, values)
        async with self._places:
            if self._is_closed:
                raise Unavailable("The store is closed.")
            try:
                return await self._fetch(sql, given)
            except psycopg.Error as error:
                raise refusal(error, "read") from error

    async def close(self) -> None:
        self._is_closed = True
        async with AsyncExitStack() as all_places:
            for _ in range(AT_ONCE):  # what is being read ends first
                await all_places.enter_async_context(self._places)
            while self._idle:
                await self._idle.pop().close()

    async def _fetch(self, sql: bytes, given: Sequence[Any] | None) -> list[Row]:
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._fetch_on(connection, sql, given)
            except NoAnswer:
                raise
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                # It was lost while nobody used it: another one may be there, or is made.
        return await self._fetch_on(await self._server.connect_to_read(), sql, given)

    async def _fetch_on(
        self, connection: AsyncConnection, sql: bytes, given: Sequence[Any] | None
    ) -> list[Row]:
        try:
            cursor = connection.cursor(binary=True)
            await cursor.execute(sql, given)
            return await cursor.fetchall()
        finally:
            if is_usable(connection):
                self._idle.append(connection)
            else:
                with suppress(psycopg.Error):
                    await connection.close()
