"""Which schema a database has, and how it comes up to date.

Alembic is imported only when there is something to do: it costs time and memory that a daemon
which starts on demand does not want to spend.
"""

from pathlib import Path

import sqlalchemy as sa

from stepwell_storage.errors import Incompatible

NEWEST = "0001"
"""The revision that this version of Stepwell works with."""

VERSION_TABLE = "stepwell_schema"
"""Our own name, so that another program's Alembic is not taken for us."""

revision = sa.select(sa.table(VERSION_TABLE, sa.column("version_num")).c.version_num)
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


def upgrade(connection: sa.Connection) -> None:
    """Brings a database, maybe empty, up to date; all in the transaction of the connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
