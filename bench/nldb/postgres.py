"""The data of a SQLite database in PostgreSQL: same tables, names and keys, types by their kind."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from bench.nldb.databases import read_catalog
from stepwell.nldb.model import Column, Kind, Table

_TYPES: dict[Kind, LiteralString] = {
    "integer": "integer",
    "text": "text",
    "timestamp": "timestamp",
    "date": "date",
    "decimal": "numeric(10, 2)",
    "float": "double precision",
    "boolean": "boolean",
}


def copy_to_postgres(path: Path, url: str) -> None:
    """Copies all tables, with their primary and foreign keys, into an empty database."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source:
        known = read_catalog(source)
        with psycopg.connect(url) as target:
            for table in known.tables.values():
                target.execute(_create(table))
                _copy(source, target, table)
            for table in known.tables.values():
                for statement in _keys(table):
                    target.execute(statement)
        with psycopg.connect(url, autocommit=True) as target:
            target.execute("ANALYZE")


def _create(table: Table) -> sql.Composed:
    columns = sql.SQL(", ").join(map(_column, table.columns))
    key = sql.SQL(", ").join(map(sql.Identifier, table.primary_key))
    primary = sql.SQL(", PRIMARY KEY ({})").format(key) if table.primary_key else sql.SQL("")
    name = sql.Identifier(table.name)
    return sql.SQL("CREATE TABLE {} ({}{})").format(name, columns, primary)


def _column(column: Column) -> sql.Composed:
    kind = sql.SQL(_TYPES.get(column.kind, "text"))
    needed = sql.SQL("" if column.nullable else " NOT NULL")
    return sql.SQL("{} {}{}").format(sql.Identifier(column.name), kind, needed)


def _keys(table: Table) -> Iterator[sql.Composed]:
    for key in table.foreign_keys:
        yield sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
            sql.Identifier(table.name),
            sql.SQL(", ").join(map(sql.Identifier, key.columns)),
            sql.Identifier(key.table),
            sql.SQL(", ").join(map(sql.Identifier, key.referred)),
        )


def _copy(
    source: sqlite3.Connection, target: psycopg.Connection[tuple[object, ...]], table: Table
) -> None:
    quoted = table.name.replace('"', '""')
    statement = sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table.name))
    with target.cursor() as cursor, cursor.copy(statement) as copy:
        for row in source.execute(f'SELECT * FROM "{quoted}"'):
            copy.write_row(row)
