"""A transaction as a statement of somebody else runs in it: it can only read, and not for long.

All of it is set for the transaction alone (`SET LOCAL`), so that it holds behind a pooler too.
"""

from datetime import timedelta
from typing import Final

from psycopg import sql

from stepwell.nldb.limits import Limits
from stepwell.nldb.postgres.connections import Connection

LOCK: Final = timedelta(seconds=2)
DISK: Final = 64 * 1024
"""Kilobytes of temporary files, where the login may set that."""

_ALWAYS: Final = {
    # The guard reads texts by the standard; a backslash must not be more to the server.
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "jit": "off",
    "row_security": "on",
    "lock_timeout": f"{LOCK // timedelta(milliseconds=1)}ms",
}
_TRANSACTION_TIMEOUT: Final = 170_000
"""The version of the server from which a transaction as a whole can have an end."""


async def begin_read(
    connection: Connection, limits: Limits, *, schema: str, caps_disk: bool
) -> None:
    """Begins a transaction that reads; everything in it sees the same rows."""
    await connection.execute(
        sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}").format(
            _settings(connection, limits, schema, caps_disk=caps_disk)
        )
    )


async def begin_write(connection: Connection, limits: Limits, *, schema: str) -> None:
    """Begins a transaction that may write, under the same limits; it sees the same rows to its end.

    To change a row fails in it when somebody else has changed the row meanwhile.
    """
    await connection.execute(
        sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE; {}").format(
            _settings(connection, limits, schema, caps_disk=False)
        )
    )


def _settings(
    connection: Connection, limits: Limits, schema: str, *, caps_disk: bool
) -> sql.Composed:
    timeout = limits.timeout // timedelta(milliseconds=1)
    settings = {
        **_ALWAYS,
        "statement_timeout": f"{timeout}ms",
        "idle_in_transaction_session_timeout": f"{timeout + 1000}ms",
        "work_mem": f"{max(limits.memory // 1024 // 16, 1024)}kB",
        "search_path": "",
    }
    if connection.info.server_version >= _TRANSACTION_TIMEOUT:
        settings["transaction_timeout"] = f"{timeout + 500}ms"
    if caps_disk:
        settings["temp_file_limit"] = f"{DISK}kB"
    set_all = [
        sql.SQL("SET LOCAL {} = {}").format(
            sql.Identifier(name),
            # The names of PostgreSQL's own functions are found before those of the schema.
            sql.SQL("pg_catalog, {}").format(sql.Identifier(schema))
            if name == "search_path"
            else sql.Literal(value),
        )
        for name, value in settings.items()
    ]
    return sql.SQL("; ").join(set_all)
