"""Brings the schema of a database up to date, by whichever process comes first.

Everything happens in one transaction under one lock, so several processes may start at once: the
others wait and find nothing to do. Those that run an older version go on meanwhile.
"""

from datetime import timedelta
from typing import Final

import psycopg
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from stepwell_storage.errors import Incompatible, Unavailable
from stepwell_storage.sql import migrate
from stepwell_storage.sql.postgres.connection import Connection, Server, refusal
from stepwell_storage.sql.postgres.dialect import SCHEMA, PostgresStatements

MOST_TIME: Final = timedelta(hours=1)
"""For a migration, and for waiting until another process has ended its own."""

_TABLES: Final = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = %b"
_SCHEMAS: Final = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = %b"
_ENCODING: Final = "SELECT pg_catalog.current_setting('server_encoding')"
_ONE_AT_A_TIME: Final = "SELECT pg_catalog.pg_advisory_xact_lock(hashtext('stepwell schema'))"


def bring_up_to_date(server: Server) -> None:
    """Makes or migrates our tables where that is due.

    Raises:
        Incompatible: the database belongs to a newer version, or the schema to something else.
        Unavailable: it cannot be reached, or its user may not do what is needed.
    """
    try:
        with server.connect() as connection:
            if _is_due(connection):
                _migrate(connection)
    except psycopg.Error as error:
        raise _refusal(error) from error
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error):
            raise
        raise _refusal(error.orig) from error


def _refusal(error: psycopg.Error) -> Exception:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return Unavailable(
            f"The user of the database may not make tables: {error.diag.message_primary}. Who owns "
            f"the database can allow it: CREATE SCHEMA {SCHEMA} AUTHORIZATION that_user"
        )
    return refusal(error, "opened")


def _is_due(connection: Connection) -> bool:
    [(encoding,)] = connection.execute(_ENCODING).fetchall()
    if encoding != "UTF8":
        raise Incompatible(
            f"The database stores text as {encoding}, which cannot hold all of it. Make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and name that."
        )
    tables = {name for (name,) in connection.execute(_TABLES, [SCHEMA])}
    if not tables:
        return True
    if migrate.VERSION_TABLE not in tables:
        raise Incompatible(
            f"The schema {SCHEMA!r} of the database holds tables of another program, and was left "
            "as it is. Name another database."
        )
    statements = PostgresStatements()
    return migrate.is_due(lambda it: connection.execute(*statements.one(it, {})).fetchall())


def _migrate(connection: Connection) -> None:
    connection.autocommit = False
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # to see what we waited for
    connection.patience = replace(connection.patience, answer=MOST_TIME)
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connection,
        poolclass=StaticPool,
        use_native_hstore=False,
    )
    with engine.begin() as borrowed:
        borrowed.exec_driver_sql(_ONE_AT_A_TIME)
        if not _is_due(connection):
            return
        # A table that somebody reads for long must not hold up everybody who waits behind us.
        wait = round(connection.patience.lock.total_seconds() * 1000)
        borrowed.exec_driver_sql(f"SET LOCAL lock_timeout = {wait}")
        if not connection.execute(_SCHEMAS, [SCHEMA]).fetchall():
            borrowed.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        borrowed.exec_driver_sql(f"SET LOCAL search_path TO {SCHEMA}")
        if connection.execute(_TABLES, [SCHEMA]).fetchall():
            migrate.upgrade(borrowed)
        else:
            migrate.create(borrowed)
