"""The one connection of this process that writes, and the transaction that is open on it.

Statements whose answers nobody needs yet are sent together with the next one that is asked.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from stepwell_storage.errors import Unavailable
from stepwell_storage.sql.postgres.connection import (
    Connection,
    NoAnswer,
    Patience,
    Row,
    Server,
    is_usable,
    refusal,
)
from stepwell_storage.sql.postgres.dialect import PostgresStatements, Request
from stepwell_storage.sql.postgres.rows import insertion_of_missing, insertion_of_sums

BEGIN: Final = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
"""Always this level: who has waited for a lock must see what was written meanwhile."""

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 1.0
"""Seconds between attempts to connect; whoever writes meanwhile is refused at once."""


class PostgresSession:
    """Connects when it is first used, and again when the connection was lost."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._statements = PostgresStatements()
        self._connection: Connection | None = None
        self._ahead: list[Request] = []
        self.is_announced = False
        """Whether anything in this transaction was announced."""
        self._settings = _settings(server.patience)
        self._is_begun = False
        """Whether the server knows of this transaction."""
        self._pause = 0.0
        self._retry_at = 0.0
        self._refused: Exception | None = None

    # --- session ------------------------------------------------------------------------

    def rows(self, statement: sa.Executable, **values: Any) -> list[Row]:
        """What a statement gives back."""
        return self.ask(self.one(statement, **values))[0]

    def change(self, statement: sa.Executable, **values: Any) -> int:
        """Carries a statement out; tells how many rows it concerned."""
        return self._exchange(self.one(statement, **values))[0].rowcount

    def add_missing(self, table: sa.Table, values: Sequence[Any]) -> None:
        """Adds rows, but not those that a unique index has already."""
        if values:
            self.later(self.many(insertion_of_missing(table), values))

    def add_up(self, table: sa.Table, values: Sequence[Any]) -> None:
        """Adds rows; of those that are there `used` and `reserved` become the sums."""
        if values:
            self.later(self.many(insertion_of_sums(table), values))

    def announce(self) -> None:
        """Once this is committed, wakes who waits for a letter, a run to claim or a free place."""
        self.is_announced = True

    # --- statements ---------------------------------------------------------------------

    def one(self, statement: sa.Executable, **values: Any) -> Request:
        """A statement with its values."""
        return self._statements.one(statement, values)

    def many(self, statement: sa.Executable, values: Sequence[Any]) -> Request:
        """A statement on many rows."""
        return self._statements.many(statement, values)

    def later(self, *requests: Request) -> None:
        """Sends these with the next ones whose answer is asked for."""
        self._ahead += requests

    def ask(self, *requests: Request) -> list[list[Row]]:
        """The rows that each of these gives back."""
        return [cursor.fetchall() for cursor in self._exchange(*requests)]

    def flush(self) -> None:
        """Sends what waits to be sent.

        Raises:
            psycopg.Error: any of it failed; what came after it was not carried out.
        """
        self._exchange()

    # --- transactions -------------------------------------------------------------------

    def begin(self, locks: Sequence[int] = ()) -> None:
        """Begins a transaction in which nothing waits for ever, with these locks, in this order.

        Raises:
            Unavailable: there is no connection, and none can be made.
        """
        self._ahead.clear()
        self.is_announced = self._is_begun = False
        if self._connection is None or not is_usable(self._connection):
            self.close()
            self._connection = self._connect()
        settings = f"SELECT {self._settings}".encode()
        # From left to right: the limit is there when the first lock is waited for.
        with_locks = settings + b", pg_advisory_xact_lock(key) FROM unnest(%b::bigint[]) AS key"
        self.later((BEGIN, None), (with_locks, [locks]) if locks else (settings, None))

    def commit(self) -> None:
        """Commits, with all that waits to be sent."""
        self.later((b"COMMIT", None))
        self.flush()

    def recover(self) -> None:
        """Whatever was begun and not committed is undone; a connection that cannot is left."""
        self._ahead.clear()
        connection = self._connection
        if connection is None or is_usable(connection):
            return
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        if not is_usable(connection):
            self.close()

    def apart(self, work: Callable[[], Any]) -> Any:
        """What the work gives back, or the exception that it raised and that undid it alone."""
        self.later((b"SAVEPOINT apart", None))
        try:
            result = work()
            self.flush()
        except Exception as error:
            if self.is_at_fault(error):
                raise
            self._ahead.clear()
            self.later((b"ROLLBACK TO apart", None))
            result = error
        self.later((b"RELEASE apart", None))
        return result

    def is_at_fault(self, error: Exception) -> bool:
        """Whether nothing more can be written in this transaction, whatever it is."""
        is_lost = self._connection is None or self._connection.closed
        return is_lost or (isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] == "53")

    def close(self) -> None:
        """Disconnects."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    # --- the connection -----------------------------------------------------------------

    def _connect(self) -> Connection:
        if self._refused is not None and monotonic() < self._retry_at:
            raise Unavailable(str(self._refused))
        try:
            connection = self._server.connect()
        except psycopg.Error as error:
            self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
            self._retry_at = monotonic() + self._pause
            self._refused = refusal(error, "reached")
            raise self._refused from error
        self._pause, self._refused = 0.0, None
        return connection

    def _exchange(self, *requests: Request) -> list[psycopg.Cursor[Row]]:
        sent, self._ahead = [*self._ahead, *requests], []
        assert self._connection is not None, "nothing was begun"
        try:
            cursors = _answers(self._connection, sent)
        except psycopg.OperationalError as error:
            if self._is_begun or isinstance(error, NoAnswer) or not self._connection.closed:
                raise
            # It was lost while nobody used it, so nothing was done on it that could be lost.
            self._connection = self._connect()
            cursors = _answers(self._connection, sent)
        self._is_begun = True
        return cursors[len(sent) - len(requests) :]


def _answers(connection: Connection, requests: Sequence[Request]) -> list[psycopg.Cursor[Row]]:
    if len(requests) == 1:
        return [connection.cursor(binary=True).execute(*requests[0])]
    with connection.pipeline():
        return [connection.cursor(binary=True).execute(*request) for request in requests]


def _settings(patience: Patience) -> str:
    """What every transaction sets for itself, so that nothing in it waits for ever."""
    settings = {
        "lock_timeout": patience.lock,
        "statement_timeout": patience.statement,
        "idle_in_transaction_session_timeout": patience.statement,
        "transaction_timeout": patience.transaction,
    }
    return ", ".join(
        # The last one is new in PostgreSQL 17.
        f"CASE WHEN current_setting('{name}', true) IS NOT NULL THEN "
        f"set_config('{name}', '{round(value.total_seconds() * 1000)}', true) END"
        for name, value in settings.items()
    )
