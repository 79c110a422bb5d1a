"""A store in a PostgreSQL database, which many processes share."""

import asyncio
from datetime import timedelta

import sqlalchemy as sa

from stepwell_storage.bell import Bell
from stepwell_storage.errors import BadUrl, Unavailable
from stepwell_storage.heads import LogHeads
from stepwell_storage.ports import CommitWatch
from stepwell_storage.sql.postgres.connection import Patience, Server
from stepwell_storage.sql.postgres.reader import PostgresReader
from stepwell_storage.sql.postgres.schema import bring_up_to_date
from stepwell_storage.sql.postgres.session import PostgresSession
from stepwell_storage.sql.postgres.transactions import PostgresTransactions
from stepwell_storage.sql.postgres.watch import LogWatch
from stepwell_storage.sql.provided import SqlPorts
from stepwell_storage.sql.tables import log_heads, meta
from stepwell_storage.sql.writer import Writer

_STORE = sa.select(meta.c.store)
_HEADS = sa.select(log_heads.c.namespace, log_heads.c.position)

NO_DIRECT_URL = (
    "storage.notify needs a connection that no pooler is behind; give its URL as "
    "storage.direct_url, or in the variable DATABASE_URL_DIRECT"
)


class PostgresStorage(SqlPorts):
    """All ports over one PostgreSQL database; see `ports.Storage`. Opened once, closed once."""

    id: str
    is_shared = True

    def __init__(
        self,
        url: str,
        *,
        on_commit: CommitWatch | None = None,
        direct_url: str = "",
        notify: bool = False,
        poll_interval: timedelta = timedelta(milliseconds=100),
        patience: Patience = Patience(),  # noqa: B008 - it is frozen
    ) -> None:
        """`on_commit` is called on the event loop after each transaction. `url` may be that of a pooler; `direct_url` is one with sessions, for what needs them.

        `notify` tells other processes of commits, and listens to theirs, at `direct_url`. Without it
        they are asked for every `poll_interval`, while anybody waits.

        Raises:
            BadUrl: a URL cannot be used, or `notify` lacks a direct one.
        """
        self._server = Server(url, patience)
        self._direct = _direct(direct_url, patience)
        self._on_commit = on_commit
        self._must_notify = notify
        self._poll_interval = poll_interval
        self._transactions = PostgresTransactions(PostgresSession(self._server))
        self._writer: Writer | None = None
        self._reader: PostgresReader | None = None
        self._watch: LogWatch | None = None
        self._watching: asyncio.Task[None] | None = None
        if notify and self._direct is None:
            raise BadUrl(NO_DIRECT_URL)

    async def open(self) -> None:
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        await asyncio.to_thread(bring_up_to_date, self._direct or self._server)
        heads, bell = LogHeads(), Bell()
        reader = self._reader = PostgresReader(self._server)
        writer = self._writer = Writer(
            self._transactions,
            advanced=heads.advance,
            announced=bell.ring,
            on_commit=self._on_commit,
        )
        self.id = (await reader.rows(_STORE))[0][0]
        heads.advance(dict(await reader.rows(_HEADS)))
        self._provide(writer, reader, heads=heads, bell=bell)
        self._watch = LogWatch(reader, heads, bell, self._poll_interval)
        self._watching = asyncio.create_task(self._watch.run(), name="stepwell-watch")
        self.notify(self._must_notify)

    async def ping(self) -> None:
        if self._writer is None or self._reader is None:
            raise Unavailable("The store is not open.")
        # Its transaction is one that may write, which a standby or a read-only database refuses.
        await self._writer.call(lambda session: session.rows(_STORE))
        await self._reader.rows(_STORE)

    def notify(self, is_on: bool) -> None:
        """Tells other processes of commits, and listens to theirs, from now on or no longer.

        Raises:
            BadUrl: there is no direct URL to listen at.
        """
        if is_on and self._direct is None:
            raise BadUrl(NO_DIRECT_URL)
        self._must_notify = is_on
        self._transactions.tell(is_on)
        if self._watch is not None:
            self._watch.listen(self._direct if is_on else None)

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._writer is not None:
            await self._writer.stop()
        if self._reader is not None:
            await self._reader.close()


def _direct(url: str, patience: Patience) -> Server | None:
    if not url:
        return None
    try:
        return Server(url, patience)
    except BadUrl as error:
        raise BadUrl(f"as for storage.direct_url, {error}") from None
