"""New databases to measure on. Everyone gets them with the same durability.

SQLite has a write-ahead log and `synchronous=FULL`, set by whoever opens it; PostgreSQL is as it
ships, with `fsync` and `synchronous_commit` on.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from dev.postgres import PostgresServer, running_postgres

from bench.left_out import LeftOut
from bench.trial import SQLITE

SQLITE_ONLY = ("sqlite",)
POSTGRES_ONLY = ("postgres",)
BOTH = ("sqlite", "postgres")


class Place:
    """Where databases of one kind are made, and a folder beside them."""

    def __init__(self, folder: Path, server: PostgresServer | None) -> None:
        self.folder = folder
        self.server = None if server is None else server.pid
        """The process of the database, if it has one of its own."""
        self._server = server

    def new_url(self, name: str) -> str:
        """An empty database."""
        if self._server is None:
            return f"{SQLITE}{self.folder / name}.db"
        return self._server.create_database(name)

    def new_home(self, name: str) -> Path:
        """A folder for an engine."""
        home = self.folder / name
        home.mkdir()
        return home


@contextmanager
def place_for(database: str) -> Iterator[Place]:
    """A place for one of `BOTH` while the block lasts.

    Raises:
        LeftOut: PostgreSQL does not start here.
    """
    with tempfile.TemporaryDirectory(prefix="stepwell-bench-") as folder:
        if database == "sqlite":
            yield Place(Path(folder), None)
            return
        with ExitStack() as stack:
            try:
                server = stack.enter_context(running_postgres())
            except RuntimeError as error:
                raise LeftOut(str(error)) from error
            _prove_durable(server)
            yield Place(Path(folder), server)


def _prove_durable(server: PostgresServer) -> None:
    with psycopg.connect(server.url()) as db:
        for setting in ("fsync", "synchronous_commit"):
            [value] = db.execute("SELECT current_setting(%s)", [setting]).fetchone() or [None]
            assert value == "on", f"{setting} is {value}: nothing measured on it would be durable"
