"""Which schema a database has, and how it comes up to date.

An empty database is made from `tables` at once; the migrations bring an older one to the same
place, and a test holds the two equal. Alembic is imported only when there is something to
migrate: it costs time and memory that a daemon which starts on demand does not want to spend.
"""

import secrets
from pathlib import Path

import sqlalchemy as sa

from stepwell.clock import SystemClock
from stepwell_storage.errors import Incompatible
from stepwell_storage.sql.tables import meta, metadata

NEWEST = "0002"
"""The revision that this version of Stepwell works with."""

VERSION_TABLE = "stepwell_schema"
"""Our own name, so that another program's Alembic is not taken for us."""

_version = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True),
)
revision = sa.select(_version.c.version_num)
"""Asks for the revision that a database has."""


def is_due(found: str) -> bool:
    """Whether a database of this revision must be brought up to date.

    Raises:
        Incompatible: it is newer than we are.
    """
    if found > NEWEST:
        raise Incompatible(
            f"The database has schema {found}, and this version of Stepwell knows schemas up to "
            f"{NEWEST}. Start it with the newer Stepwell that wrote it, or name another database."
        )
    return found < NEWEST


def create(connection: sa.Connection) -> None:
    """Makes an empty database what the migrations would make it, in the caller's transaction."""
    metadata.create_all(connection)
    _version.create(connection)
    connection.execute(sa.insert(_version).values(version_num=NEWEST))
    connection.execute(
        sa.insert(meta).values(store=secrets.token_hex(16), created_at=SystemClock().now())
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
