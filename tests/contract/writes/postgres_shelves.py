"""The shop of `shelves` in PostgreSQL, with types that SQLite does not have."""

from pathlib import Path
from typing import Any

import psycopg
from tests.contract.writes.shelves import Desk

from stepwell.engine.values import Json
from stepwell.nldb.postgres.database import PostgresDatabase
from stepwell.nldb.postgres.place import place_of
from stepwell.nldb.writes import postgres
from stepwell.tools.secrets import Secrets

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


class PostgresDesk(Desk):
    """A desk of a PostgreSQL database."""

    def __init__(self, url: str, **limits: Any) -> None:
        database = PostgresDatabase(place_of(url), Secrets({}, home=Path()))
        super().__init__(database, **limits)
        self.connections = database.connections
        self.lend = database.connections.lend
        self.url = url
        self._other = psycopg.connect(url, autocommit=True)

    def reconnect(self) -> None:
        """Begins anew: the server was restarted."""
        self._other.close()
        self._other = psycopg.connect(self.url, autocommit=True)

    async def close(self) -> None:
        """Ends all connections."""
        self._other.close()
        await self.database.close()

    def rows(self, sql: str) -> list[Any]:
        """Rows of the database, read by another connection."""
        return self._other.execute(sql.encode()).fetchall()

    def run(self, script: str) -> None:
        """Somebody else changes the database."""
        self._other.execute(script.encode())

    def cells(self, table: str, columns: list[str]) -> list[dict[str, Json]]:
        """All rows of a table, as a preview writes them."""
        cursor = self._other.execute(f"SELECT {', '.join(columns)} FROM {table}".encode())
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
