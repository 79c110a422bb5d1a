"""A number that changes with the schema, asked of PostgreSQL's own catalog in one statement."""

from typing import Any, Final

import psycopg

STAMP: Final = """
WITH ours AS (
    SELECT oid, xmin FROM pg_catalog.pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'v', 'm', 'f', 'p') AND relpersistence <> 't'
)
SELECT concat_ws('.', current_user,
    (SELECT sum(hashtextextended(xmin::text, oid::bigint)) FROM ours),
    (SELECT sum(hashtextextended(concat(a.xmin, a.attnum), a.attrelid::bigint))
     FROM pg_catalog.pg_attribute a JOIN ours ON ours.oid = a.attrelid AND a.attnum > 0),
    (SELECT sum(hashtextextended(xmin::text, oid::bigint)) FROM pg_catalog.pg_constraint
     WHERE oid >= 16384),
    (SELECT sum(hashtextextended(xmin::text, oid::bigint)) FROM pg_catalog.pg_trigger
     WHERE oid >= 16384 AND NOT tgisinternal),
    (SELECT sum(hashtextextended(concat(d.xmin, d.objsubid), d.objoid::bigint))
     FROM pg_catalog.pg_description d JOIN ours ON ours.oid = d.objoid))
"""
"""Of the rows of the catalog that say what there is, and of who may read it."""


async def stamp_of(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> str:
    """Names the schema that the transaction sees: another one has another stamp."""
    cursor = await connection.execute(STAMP)
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
