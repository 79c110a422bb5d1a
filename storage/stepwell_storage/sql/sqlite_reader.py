"""How SQLite is read: on connections of aiosqlite, with SQL that Core has compiled.

SQLAlchemy's own async engine over aiosqlite loads its whole ORM (6 MB, a tenth of a second) and
takes three hops between threads for a statement, where one does.
"""

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiosqlite
import sqlalchemy as sa

from stepwell_storage.errors import Unavailable
from stepwell_storage.sql.sqlite_dialect import DIALECT
from stepwell_storage.sql.statements import Statements

AT_ONCE: Final = 4
"""How many statements are answered at the same time, each on a connection of its own."""


class SqliteReader:
    """Connects when it is first asked, and again only when all connections are busy."""

    def __init__(self, path: Path, *, busy_timeout: timedelta) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._places = asyncio.Semaphore(AT_ONCE)
        self._idle: list[aiosqlite.Connection] = []
        self._connecting: set[asyncio.Future[aiosqlite.Connection]] = set()
        self._is_closed = False
        self._statements = Statements(DIALECT)

    async def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        sql, given = self._statements.bind(statement, values)
        async with self._places:
            if self._is_closed:
                raise Unavailable("The store is closed.")
            try:
                connection = self._idle.pop() if self._idle else await self._connect()
                try:
                    return list(map(tuple, await connection.execute_fetchall(sql, given)))
                finally:
                    self._idle.append(connection)
            except sqlite3.Error as error:
                raise Unavailable(f"The database could not be read: {error}") from error

    async def close(self) -> None:
        self._is_closed = True
        async with AsyncExitStack() as all_places:
            for _ in range(AT_ONCE):  # what is being read ends first
                await all_places.enter_async_context(self._places)
            if self._connecting:  # those that nobody waits for any more
                made, _ = await asyncio.wait(self._connecting)
                for connecting in made:
                    self._keep(connecting)
            while self._idle:
                await self._idle.pop().close()

    async def _connect(self) -> aiosqlite.Connection:
        """A new connection. Who asked may go away meanwhile: then it is there for the next one.

        A connection lives on a thread of its own, which can tell nobody once the event loop is
        closed. So whoever closes the reader waits until all that were begun are there.
        """
        connecting = asyncio.ensure_future(self._connected())
        self._connecting.add(connecting)
        try:
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(self._keep)
            raise
        except BaseException:
            self._connecting.discard(connecting)
            raise
        self._connecting.discard(connecting)
        return connection

    async def _connected(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(
            self._path, isolation_level=None, timeout=self._busy_timeout.total_seconds()
        )
        try:
            await connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error:
            await connection.close()
            raise
        return connection

    def _keep(self, connecting: asyncio.Future[aiosqlite.Connection]) -> None:
        if connecting not in self._connecting:
            return  # it is kept already
        self._connecting.discard(connecting)
        if not connecting.cancelled() and connecting.exception() is None:
            self._idle.append(connecting.result())
