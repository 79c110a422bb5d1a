"""The shop of `shelves` in PostgreSQL, with types that SQLite does not have."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from tests.contract.writes.shelves import Desk

from stepwell.engine.values import Json
from stepwell.nldb.model import Catalog, Column, Kind, Table, catalog
from stepwell.nldb.writes import postgres
from stepwell.nldb.writes.port import Ground
from stepwell.nldb.writes.postgres import Connection, PostgresWriter
from stepwell.tools.port import CallContext

SHOP = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE TABLE shelves (id integer PRIMARY KEY, name text NOT NULL UNIQUE, room text);
CREATE TABLE goods (
    id serial PRIMARY KEY, name text NOT NULL, price numeric(12,3), stock integer NOT NULL DEFAULT 0,
    shelf integer REFERENCES shelves (id) ON DELETE CASCADE, picture bytea, tenant integer DEFAULT 1,
    colour colour, weight double precision, seen timestamptz, tags text[], data jsonb, sold boolean,
    uid uuid, twice integer GENERATED ALWAYS AS (stock * 2) STORED
);
CREATE TABLE marks (good integer, word text, n integer, PRIMARY KEY (good, word));
CREATE TABLE loose (a text, b text);
CREATE TABLE journal (id bigserial PRIMARY KEY, what text, at timestamptz DEFAULT now());
INSERT INTO shelves VALUES (1, 'top', 'A'), (2, 'low', 'A'), (3, 'dusty', 'B');
INSERT INTO goods (id, name, price, stock, shelf, picture, tenant, colour, weight, seen, tags, data, sold, uid)
VALUES
    (1, 'Lamp', 30.5, 4, 1, '\\x00ff', 1, 'red', 0.1, '2024-02-29 10:00:00.123456+02', '{a,"b c"}',
     '{"x": [1, 2.50]}', true, '00000000-0000-0000-0000-000000000001'),
    (2, 'Chair', 60.25, 0, 1, NULL, 1, NULL, 'NaN', 'infinity', NULL, NULL, false, NULL),
    (3, 'Mug', 5, 12, 2, NULL, 1, 'green', 1e300, NULL, '{}', 'null', NULL, NULL),
    (4, 'Pan', NULL, 7, 2, '', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, 'Secret', 1, 1, 3, NULL, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT setval('goods_id_seq', 100);
INSERT INTO marks VALUES (1, 'new', 1), (1, 'red', 2), (2, 'new', 3);
"""

_KINDS: dict[str, Kind] = {
    "integer": "integer",
    "bigint": "integer",
    "numeric": "decimal",
    "double precision": "float",
    "text": "text",
    "bytea": "bytes",
    "boolean": "boolean",
    "jsonb": "json",
    "uuid": "uuid",
    "timestamp with time zone": "timestamp",
}
_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'YES', c.column_default IS NOT NULL,
    c.is_generated = 'ALWAYS' FROM information_schema.columns c
WHERE c.table_schema = 'public' AND c.table_name <> '_stepwell_applied'
ORDER BY c.table_name, c.ordinal_position
"""
_KEYS = """
SELECT i.indrelid::regclass::text, a.attname FROM pg_index i
CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(num, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
WHERE i.indisprimary AND i.indrelid::regclass::text !~ '[.]' ORDER BY 1, k.place
"""
_TRIGGERS = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"


class PostgresDesk(Desk):
    """A desk of a PostgreSQL database."""

    def __init__(self, url: str, **limits: Any) -> None:
        super().__init__(PostgresWriter(self.lend, stamp_of), **limits)
        self.url = url

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """A connection of its own for each."""
        connection = await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, prepare_threshold=None
        )
        async with connection:
            yield connection

    async def ground(self, context: CallContext, name: str) -> Ground:
        """The datasource as it is now."""
        async with self.lend() as connection:
            stamp = await stamp_of(connection)
        found = self.catalog()
        return Ground(self.writer, stamp, found, self.access(found))

    def catalog(self) -> Catalog:
        """What there is."""
        keys, triggers = self.rows(_KEYS), self.rows(_TRIGGERS)
        columns: dict[str, list[Column]] = {}
        for table, name, type, nullable, default, generated in self.rows(_COLUMNS):
            column = Column(
                name=name,
                type=type,
                kind=_KINDS.get(type, "other"),
                nullable=nullable,
                default=default,
                generated=generated,
            )
            columns.setdefault(table, []).append(column)
        return catalog(
            dialect="postgres",
            version="18",
            default_schema="public",
            tables={
                name: Table(
                    name=name,
                    schema="public",
                    columns=tuple(shown),
                    primary_key=tuple(column for table, column in keys if table == name),
                    triggers=tuple(trigger for table, trigger in triggers if table == name),
                )
                for name, shown in columns.items()
            },
        )

    def rows(self, sql: str) -> list[Any]:
        """Rows of the database, read by another connection."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    def run(self, script: str) -> None:
        """Somebody else changes the database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(script.encode())

    def cells(self, table: str, columns: list[str]) -> list[dict[str, Json]]:
        """All rows of a table, as a preview writes them."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(f"SELECT {', '.join(columns)} FROM {table}".encode())
            result = cursor.pgresult
            assert result is not None
            types = [column.type_code for column in cursor.description or ()]
            return [
                {
                    name: postgres._cell(result.get_value(row, at), types[at])
                    for at, name in enumerate(columns)
                }
                for row in range(result.ntuples)
            ]

    def trigger(self, name: str, when: str, body: str) -> None:
        """Makes a trigger of `goods`."""
        self.run(
            f"CREATE OR REPLACE FUNCTION {name}_f() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body} RETURN coalesce(NEW, OLD); END $$; "
            f"CREATE OR REPLACE TRIGGER {name} {when} ON goods FOR EACH ROW EXECUTE FUNCTION {name}_f()"
        )

    def dump(self) -> list[str]:
        """All rows of all tables but our own."""
        names = [
            name
            for (name,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        return [
            f"{name} {row}"
            for name in sorted(names)
            if name != "_stepwell_applied"
            for (row,) in self.rows(f"SELECT t::text FROM {name} AS t ORDER BY 1")
        ]


async def stamp_of(connection: Connection) -> str:
    """Of the tables, their columns and triggers."""
    cursor = await connection.execute(
        "SELECT (SELECT string_agg(c.xmin::text, ',' ORDER BY c.oid) FROM pg_class c "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^_stepwell')"
    )
    row = await cursor.fetchone()
    assert row is not None
    return str(row[0])
