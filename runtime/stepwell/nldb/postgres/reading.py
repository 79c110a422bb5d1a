"""Runs one checked statement on PostgreSQL, and takes no more of its rows than there is room for.

A row is in our memory as a whole before it can be cut, and one value may have a gigabyte. So what
can be long is cut by the server: the statement becomes a sub-query of one that takes the
beginning of each such column, and its length.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from msgspec import Struct
from psycopg import sql

from stepwell.nldb.guard import Checked
from stepwell.nldb.limits import Limits
from stepwell.nldb.postgres.connections import Connection
from stepwell.nldb.rows import Long, Rows, Shaper

_SHORT: Final = frozenset(
    psycopg.adapters.types[name].oid
    for name in (
        "bool", "int2", "int4", "int8", "oid", "float4", "float8", "date", "time", "timetz",
        "timestamp", "timestamptz", "interval", "uuid",
    )
)  # fmt: skip
_BYTES: Final = psycopg.adapters.types["bytea"].oid
_BATCH: Final = 4 * 1024 * 1024
"""Characters of rows that are in memory at once, at most."""
_DECLARE: Final = b"DECLARE stepwell_rows NO SCROLL CURSOR FOR "
_DESCRIBE: Final = "FETCH FORWARD 0 FROM stepwell_rows"
_CLOSE: Final = "CLOSE stepwell_rows"


class _Shown(Struct, frozen=True):
    """How a column comes: as it is, or cut, with its length in the column after it."""

    is_cut: bool = False
    is_bytes: bool = False


async def read(connection: Connection, checked: Checked, limits: Limits) -> Rows:
    """The rows of a statement, in the transaction that has been begun.

    Raises:
        psycopg.Error: it fails.
    """
    await _declare(connection, checked.sql.encode(), checked.parameters)
    described = (await connection.execute(_DESCRIBE)).description or []
    shown = [
        _Shown(column.type_code not in _SHORT, column.type_code == _BYTES) for column in described
    ]
    if any(column.is_cut for column in shown):
        await connection.execute(_CLOSE)
        await _declare(connection, _cut(checked.sql, shown, limits), checked.parameters)
    return await _taken(connection, [column.name for column in described], shown, limits)


async def _declare(connection: Connection, statement: bytes, parameters: Sequence[Any]) -> None:
    """A cursor on the server: of one statement, as only one has a binary answer, which reads."""
    cursor = psycopg.AsyncRawCursor(connection)
    await cursor.execute(_DECLARE + statement, tuple(parameters) or None, binary=True)


def _cut(statement: str, shown: Sequence[_Shown], limits: Limits) -> bytes:
    names = [sql.Identifier(f"c{place}") for place in range(len(shown))]
    items: list[sql.Composable] = []
    for name, column in zip(names, shown, strict=True):
        if not column.is_cut:
            items.append(name)
        elif column.is_bytes:
            items.append(sql.SQL("NULL, octet_length({})").format(name))
        else:
            items.append(
                sql.SQL("left({0}::text, {1}), length({0}::text)").format(
                    name, sql.Literal(limits.cell)
                )
            )
    return (
        sql.SQL("SELECT {} FROM ({}) AS stepwell_q({})")
        .format(
            sql.SQL(", ").join(items),
            sql.SQL(statement),  # pyright: ignore[reportArgumentType]  # rebuilt by the guard
            sql.SQL(", ").join(names),
        )
        .as_bytes(None)
    )


async def _taken(
    connection: Connection,
    names: Sequence[str],
    shown: Sequence[_Shown],
    limits: Limits,
) -> Rows:
    shaper = Shaper(names, limits)
    widest = sum(limits.cell if column.is_cut else 32 for column in shown) or 1
    batch = max(1, min(limits.rows + 1, _BATCH // widest))
    fetch = sql.SQL("FETCH FORWARD {} FROM stepwell_rows").format(sql.Literal(batch))
    while True:
        rows = await (await connection.execute(fetch)).fetchall()
        for row in rows:
            if not shaper.keep(_joined(row, shown, limits)):
                return shaper.result()
        if len(rows) < batch:
            return shaper.result()


def _joined(row: Sequence[Any], shown: Sequence[_Shown], limits: Limits) -> list[Any]:
    values = iter(row)
    joined: list[Any] = []
    for column in shown:
        value = next(values)
        if column.is_cut:
            size = next(values)
            if size is not None and (column.is_bytes or size > limits.cell):
                value = Long(value, size)
        joined.append(value)
    return joined
