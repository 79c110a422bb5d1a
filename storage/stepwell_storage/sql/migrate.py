"""Which schema a database has, and how it comes up to date.

An empty database is made from `tables` at once; the migrations bring an older one to the same
place, and a test holds the two equal. Alembic is imported only when there is something to
migrate: it costs time and memory that a daemon which starts on demand does not want to spend.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from stepwell.clock import SystemClock
from stepwell_storage.errors import Incompatible
from stepwell_storage.sql.tables import meta, metadata

NEWEST = "0009"
"""The revision that this version of Stepwell works with."""

READABLE_BY = "0004"
"""The oldest revision whose Stepwell can work with the newest schema.

A migration that only adds leaves it as it is. One that takes away, or changes what is there, sets it
to its own revision: older processes have to end before, and do not start any more.
"""

VERSION_TABLE = "stepwell_schema"
"""Our own name, so that another program's Alembic is not taken for us."""

_version = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True),
)
revision = sa.select(_version.c.version_num)
"""Asks for the revision that a database has."""

_READABLE_BY = sa.select(meta.c.readable_by)


def is_due(ask: Callable[[sa.Executable], list[tuple[Any, ...]]]) -> bool:
    """Whether a database that is ours must be brought up to date; `ask` puts a statement to it.

    One that a newer version has brought further is used as it is, as long as it says that this
    version may: while processes are replaced one after the other, older ones still start.

    Raises:
        Incompatible: it is newer than this version can work with.
    """
    found = ask(revision)
    if not found or found[0][0] <= NEWEST:
        return not found or found[0][0] < NEWEST
    [[oldest]] = ask(_READABLE_BY)
    if oldest > NEWEST:
        raise Incompatible(
            f"The database has schema {found[0][0]}, and this version of Stepwell knows schemas up "
            f"to {NEWEST}. Start it with the newer Stepwell that wrote it, or name another database."
        )
    return False


def create(connection: sa.Connection) -> None:
    """Makes an empty database what the migrations would make it, in the caller's transaction."""
    metadata.create_all(connection)
    _version.create(connection)
    connection.execute(sa.insert(_version).values(version_num=NEWEST))
    connection.execute(
        sa.insert(meta).values(
            store=secrets.token_hex(16), created_at=SystemClock().now(), readable_by=READABLE_BY
        )
    )


def upgrade(connection: sa.Connection) -> None:
    """Brings a database up to date, an empty one too; all in the transaction of the connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
