"""A store in one SQLite file: one connection that writes, a few that read beside it.

The write-ahead log lets readers go on while a commit is made; `synchronous=FULL` means that a
commit has reached the disk when it returns.
"""

import asyncio
import secrets
import sqlite3
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from stepwell_storage.bell import Bell
from stepwell_storage.errors import Incompatible, Unavailable
from stepwell_storage.heads import LogHeads
from stepwell_storage.ports import CommitWatch
from stepwell_storage.sql import migrate
from stepwell_storage.sql.provided import SqlPorts
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.sqlite_reader import SqliteReader
from stepwell_storage.sql.sqlite_transactions import SqliteTransactions
from stepwell_storage.sql.tables import blobs, log_heads, meta
from stepwell_storage.sql.writer import Writer

PROBE_BYTES = 64 * 1024
"""What `ping` writes and takes away again: more than the free page that a row would still find."""

KEPT_STATEMENTS = 512
"""Statements that stay parsed. A `Bulk` has a dozen, one for each number of rows, and parsing one
again costs as much as what it does: 3.5 us a row."""

OLDEST_SQLITE = (3, 35)
"""The first with both UPDATE ... FROM and RETURNING."""

_TABLES = sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")
_STORE = sa.select(meta.c.store)
_HEADS = sa.select(log_heads.c.namespace, log_heads.c.position)
_ADD_PROBE = sa.insert(blobs)
_REMOVE_PROBE = sa.delete(blobs).where(blobs.c.namespace == sa.bindparam("namespace"))


class SqliteStorage(SqlPorts):
    """All ports over one SQLite file; see `ports.Storage`. Opened once, closed once."""

    id: str
    is_shared = False

    def __init__(
        self,
        path: Path,
        *,
        max_page_count: int | None = None,
        busy_timeout: timedelta = timedelta(seconds=5),
        on_commit: CommitWatch | None = None,
    ) -> None:
        """A database that is not there is made, in a folder that is.

        `max_page_count` bounds the file, in pages of 4 KiB. `busy_timeout` is how long to wait
        while another process writes.
        """
        self._path = path
        self._max_page_count = max_page_count
        self._busy_timeout = busy_timeout
        self._on_commit = on_commit
        self._writer: Writer | None = None
        self._reader: SqliteReader | None = None

    async def open(self) -> None:
        transactions = await asyncio.to_thread(self._connect)
        self.id = transactions.rows(_STORE)[0][0]
        heads, bell = LogHeads(), Bell()
        heads.advance(dict(transactions.rows(_HEADS)))
        reader = self._reader = SqliteReader(self._path, busy_timeout=self._busy_timeout)
        writer = self._writer = Writer(
            transactions,
            advanced=heads.advance,
            announced=bell.ring,
            on_commit=self._on_commit,
        )
        self._provide(writer, reader, heads=heads, bell=bell)

    async def ping(self) -> None:
        if self._writer is None or self._reader is None:
            raise Unavailable("The store is not open.")
        await self._writer.call(_probe)
        await self._reader.rows(_STORE)

    async def limit_pages(self, count: int) -> None:
        """Bounds the file at `count` pages from now on; below its size it just grows no more."""
        if self._writer is None:
            raise Unavailable("The store is not open.")
        limit = sa.text(f"PRAGMA max_page_count = {count:d}")
        await self._writer.call(lambda session: session.rows(limit))

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.stop()
        if self._reader is not None:
            await self._reader.close()

    # --- connections --------------------------------------------------------------------

    def _connect(self) -> SqliteTransactions:
        """The connection that writes, to a database that is ours and up to date."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise Incompatible(
                f"This Python has SQLite {sqlite3.sqlite_version}, and Stepwell needs 3.35 or "
                "newer. Use a Python that brings its own, for instance one installed by uv."
            )
        try:
            connection = sqlite3.connect(
                self._path,
                isolation_level=None,
                check_same_thread=False,
                timeout=self._busy_timeout.total_seconds(),
                cached_statements=KEPT_STATEMENTS,
            )
        except sqlite3.Error as error:
            raise Unavailable(
                f"{self._path} cannot be opened: {error}. The folder must be there, and the file "
                "must be ours to write."
            ) from error
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._refused(error) from error
            raise
        return SqliteTransactions(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        is_due = self._is_migration_due(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if is_due:
            self._bring_up_to_date(connection)
        if self._max_page_count is not None:
            connection.execute(f"PRAGMA max_page_count = {self._max_page_count:d}")

    def _is_migration_due(self, connection: sqlite3.Connection) -> bool:
        transactions = SqliteTransactions(connection)
        tables = {name for (name,) in transactions.rows(_TABLES)}
        if not tables:
            return True
        if migrate.VERSION_TABLE not in tables:
            raise Incompatible(
                f"{self._path} holds a database of another program, and was left as it is. "
                "Name another file."
            )
        return migrate.is_due(transactions.rows)

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        # Two processes may come here at once: the second one waits, and finds nothing to do.
        connection.execute("BEGIN IMMEDIATE")
        is_empty = not SqliteTransactions(connection).rows(_TABLES)
        engine = sa.create_engine(
            "sqlite+pysqlite://", creator=lambda: connection, poolclass=StaticPool
        )
        with engine.connect() as borrowed:
            if is_empty:
                migrate.create(borrowed)
            else:
                migrate.upgrade(borrowed)
        if connection.in_transaction:
            connection.execute("COMMIT")

    def _refused(self, error: sqlite3.Error) -> Incompatible | Unavailable:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            return Incompatible(f"{self._path} is not a SQLite database, and was left as it is.")
        return Unavailable(f"{self._path} cannot be used: {error}.")


def _probe(session: Session) -> None:
    """Writes something that nobody can see, and takes it away again."""
    session.change(
        _ADD_PROBE,
        namespace="",
        run=bytes(16),
        digest=secrets.token_hex(8),
        size=PROBE_BYTES,
        label="",
        key_id="",
        data=bytes(PROBE_BYTES),
    )
    session.change(_REMOVE_PROBE, namespace="")
