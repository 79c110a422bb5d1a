"""Connections to one datasource: a few, made when they are needed, and closed when nobody does.

Nothing here relies on a session: a connection may be one to a pooler that hands every transaction
to another server process. So nothing is prepared, and a transaction sets what it needs for itself.
"""

import asyncio
import contextlib
import selectors
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.types.string import TextLoader
from psycopg.waiting import wait_async

from stepwell.nldb.postgres.errors import unreachable
from stepwell.nldb.postgres.place import Place
from stepwell.tools.port import ToolFailed
from stepwell.tools.secrets import Redactor, Secrets

AT_ONCE: Final = 4
"""Connections to one datasource; more calls wait for one of them."""

IDLE: Final = 60.0
"""Seconds after which a connection is ended that nobody has used."""

CANCELLING: Final = timedelta(seconds=0.5)
"""How long the server may take to hear that a statement is over."""

_AS_TEXT: Final = (
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "numeric",
    "uuid",
    "json",
    "jsonb",
)
"""What is told as the server writes it: Python has no infinite date, and no time of 24:00."""


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that stops waiting at once when whoever waits is cancelled.

    Psycopg itself would ask the server to stop and wait until it has, however long that takes.
    What still runs then is for `lend` to end.
    """

    async def wait(
        self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        """Waits for an answer."""
        return await wait_async(gen, self.pgconn.socket, interval=interval)


class Connections:
    """The connections to one place. `close` ends all of them."""

    def __init__(
        self,
        place: Place,
        secrets: Secrets,
        *,
        redactor: Redactor | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._secrets = secrets
        self._redactor = redactor or Redactor()
        self._now = now
        self._places = asyncio.Semaphore(AT_ONCE)
        self._idle: list[tuple[float, Connection]] = []
        self._is_closed = False

    def parameters(self) -> dict[str, Any]:
        """What to connect with, the password included.

        Raises:
            SecretMissing: its reference leads nowhere.
        """
        return self._place.parameters(self._secrets, self._redactor)

    def failure(self, error: psycopg.Error) -> ToolFailed:
        """What is told of a connection that there is not."""
        return unreachable(error, self._redactor)

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """A connection that leaves transactions to the borrower (`BEGIN`, `COMMIT`).

        A statement that is still running when the block is left, by a timeout or a cancellation,
        is cancelled on the server. What is not idle then is closed, never lent again.

        Raises:
            ToolFailed: the server cannot be reached; no password is told.
            SecretMissing: the reference to the password leads nowhere.
        """
        async with self._places:
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                await stop(connection)
                raise
            finally:
                await self._give_back(connection)

    async def close(self) -> None:
        """Closes those that are not lent; the others are closed when they come back."""
        self._is_closed = True
        while self._idle:
            _, connection = self._idle.pop()
            await _close(connection)

    async def _take(self) -> Connection:
        while self._idle:
            since, connection = self._idle.pop()
            if self._now() - since < IDLE and _is_silent(connection) and _is_usable(connection):
                return connection
            await _close(connection)
        try:
            connection = await Connection.connect(
                "", autocommit=True, prepare_threshold=None, **self.parameters()
            )
        except psycopg.Error as error:
            raise self.failure(error) from None
        for name in _AS_TEXT:
            connection.adapters.register_loader(name, TextLoader)
        return connection

    def _end_idle(self) -> None:
        """Ends those that nobody has used for so long."""
        kept, self._idle = self._idle, []
        for since, connection in kept:
            if self._now() - since < IDLE:
                self._idle.append((since, connection))
            else:
                connection.pgconn.finish()

    async def _give_back(self, connection: Connection) -> None:
        if _is_usable(connection) and not self._is_closed:
            self._idle.append((self._now(), connection))
            asyncio.get_running_loop().call_later(IDLE, self._end_idle)
        else:
            await _close(connection)


async def stop(connection: Connection) -> None:
    """Ends what runs on a connection, and its transaction.

    What the server is told to end may take it a while to end: nobody waits for it.
    """
    try:
        async with asyncio.timeout(CANCELLING.total_seconds()):
            if connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                await connection.cancel_safe(timeout=CANCELLING.total_seconds())
            else:
                await connection.execute("ROLLBACK")
    except (psycopg.Error, TimeoutError, OSError):
        await _close(connection)


def _is_silent(connection: Connection) -> bool:
    """Whether the server has said nothing since the last transaction.

    What it says to who asks nothing is most often that it ends the connection, and libpq tells that
    only once it is asked for more. Anything else costs a connection that is made anew.
    """
    if connection.closed:
        return False
    with selectors.DefaultSelector() as heard:
        heard.register(connection.pgconn.socket, selectors.EVENT_READ)
        return not heard.select(0)


def _is_usable(connection: Connection) -> bool:
    if connection.closed:
        return False
    try:
        connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return connection.pgconn.transaction_status == pq.TransactionStatus.IDLE


async def _close(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error):
        await connection.close()
