"""How a process learns that others have written: it asks, or it is told as well.

All who wait for a log share one question, asked every so often while anybody waits. Being told costs
every commit a lock that all commits of the database share, and needs a connection with a session,
which no pooler gives; so it is off unless it is wanted. The question is asked then too, only less
often: nobody has to notice when the one who tells falls silent.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Final

import psycopg

from stepwell_storage.bell import Bell
from stepwell_storage.errors import StorageError
from stepwell_storage.heads import LogHeads
from stepwell_storage.sql.postgres.connection import Row, Server
from stepwell_storage.sql.postgres.fence import CHANNEL, HEADS
from stepwell_storage.sql.postgres.reader import PostgresReader

SELDOM: Final = 10
"""How many times less often is asked by a process that is told."""
LISTEN_AGAIN: Final = 5.0
"""Seconds until a connection that was lost is made again."""

log = logging.getLogger(__name__)


class LogWatch:
    """Keeps the heads of a process up with what others commit, and rings its bell for them."""

    def __init__(
        self, reader: PostgresReader, heads: LogHeads, bell: Bell, interval: timedelta
    ) -> None:
        self._reader = reader
        self._heads = heads
        self._bell = bell
        self._interval = interval.total_seconds()
        self._teller: Server | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._listening: asyncio.Task[None] | None = None
        self.is_told = False
        """Whether this process is told of commits right now."""

    async def run(self) -> None:
        """Asks for ever, while anybody waits."""
        async with asyncio.TaskGroup() as self._tasks:
            self._begin_to_listen()
            while True:
                await self._heads.until_waited_for()
                await asyncio.sleep(self._interval * (SELDOM if self.is_told else 1))
                await self._ask()

    def listen(self, server: Server | None) -> None:
        """Listens at this server from now on, or at none."""
        self._teller = server
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        self._begin_to_listen()

    def _begin_to_listen(self) -> None:
        if self._tasks is not None and self._teller is not None:
            self._listening = self._tasks.create_task(self._listen(self._teller))

    async def _ask(self) -> None:
        if namespaces := self._heads.waited_for:
            # Those who wait look for themselves when their time is over, and see what is wrong.
            with suppress(StorageError):
                found = await self._reader.rows(HEADS, namespaces=namespaces)
                self._heads.advance(dict(found))

    async def _listen(self, server: Server) -> None:
        while True:
            try:
                async with await server.connect_to_listen() as connection:
                    await self._hear(connection)
            except psycopg.Error as error:
                log.warning("commits of others are asked for, as nobody tells of them: %s", error)
            await asyncio.sleep(LISTEN_AGAIN)

    async def _hear(self, connection: psycopg.AsyncConnection[Row]) -> None:
        await connection.execute(f"LISTEN {CHANNEL}".encode())
        self.is_told = True
        try:
            await self._ask()  # what was committed while nobody listened
            self._bell.ring()
            async for said in connection.notifies():
                if not said.payload:
                    self._bell.ring()
                self._heads.advance(_understood(said.payload))
        finally:
            self.is_told = False


def _understood(payload: str) -> dict[str, int]:
    """How far a log goes, as `appends.telling` says it. Anybody may use the channel."""
    position, _, namespace = payload.partition(" ")
    return {namespace: int(position)} if position.isdecimal() else {}
