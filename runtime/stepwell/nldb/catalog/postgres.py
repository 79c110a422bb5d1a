"""What there is in a PostgreSQL database, as far as the login may read it.

It runs in a thread: SQLAlchemy's inspector is not asynchronous without greenlets.
"""

import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.pool import NullPool

from stepwell.nldb.catalog.postgres_stamp import STAMP
from stepwell.nldb.catalog.tables import Told, columns_of, foreign_keys_of, key_of, unique_of
from stepwell.nldb.model import APPLIED, Catalog, Table, catalog

TIMEOUT: Final = 30
"""Seconds that one statement about the catalog may take."""

DEFAULT_SCHEMA: Final = """(SELECT coalesce(
    (SELECT schema FROM unnest(current_schemas(false)) WITH ORDINALITY AS path(schema, place)
     WHERE schema !~ '^pg_' ORDER BY place LIMIT 1), 'public'))"""
"""The schema whose tables need none before their names: the first of the search path that is not
PostgreSQL's own, whether the path names that or not."""

_TABLES: Final = """
SELECT n.nspname, c.relname, c.relkind IN ('v', 'm'), c.reltuples::bigint,
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND has_column_privilege(c.oid, a.attnum, 'SELECT')),
    ARRAY(SELECT t.tgname::text FROM pg_catalog.pg_trigger t
          WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY t.tgname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition
    AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname
"""


class _Seen(Struct, frozen=True):
    """A table that the login may read, or some columns of it."""

    schema: str
    bare: str
    is_view: bool
    rows: int
    columns: frozenset[str]
    triggers: tuple[str, ...]


def read(parameters: Mapping[str, Any]) -> tuple[str, Catalog]:
    """The stamp of the schema, and the catalog.

    Raises:
        psycopg.Error: the database cannot be reached, or read.
    """
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect("", prepare_threshold=None, **parameters),
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
    )
    try:
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{TIMEOUT}s'")
            stamp = connection.exec_driver_sql(STAMP).scalar_one()
            return stamp, _catalog(connection)
    except DBAPIError as error:
        raise error.orig or error from error
    finally:
        engine.dispose()


def _catalog(connection: sa.Connection) -> Catalog:
    default = connection.exec_driver_sql(f"SELECT {DEFAULT_SCHEMA}").scalar_one()
    version = connection.exec_driver_sql("SHOW server_version").scalar_one()
    seen = [
        _Seen(schema, bare, is_view, rows, frozenset(columns), tuple(triggers))
        for schema, bare, is_view, rows, columns, triggers in connection.exec_driver_sql(_TABLES)
        if bare != APPLIED
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # of types that it does not know
        tables = list(_tables(connection, [one for one in seen if one.columns], default))
    return catalog(
        dialect="postgres",
        version=version,
        default_schema=default,
        tables={table.name: table for table in tables},
    )


def _tables(connection: sa.Connection, seen: list[_Seen], default: str) -> Iterable[Table]:
    inspector = sa.inspect(connection)
    for schema in sorted({one.schema for one in seen}):
        of_schema = [one for one in seen if one.schema == schema]
        names = [one.bare for one in of_schema]
        anything = ObjectKind.ANY
        columns = inspector.get_multi_columns(schema, names, anything)
        keys = inspector.get_multi_pk_constraint(schema, names)
        foreign = inspector.get_multi_foreign_keys(schema, names)
        unique = inspector.get_multi_unique_constraints(schema, names)
        indexes = inspector.get_multi_indexes(schema, names)
        comments = inspector.get_multi_table_comment(schema, names, anything)
        for one in of_schema:
            place = (schema, one.bare)
            shown = [told for told in columns.get(place, []) if told["name"] in one.columns]
            yield Table(
                name=_named(default, schema, one.bare),
                schema=schema,
                columns=columns_of(shown, connection.dialect),
                primary_key=_visible(key_of(keys.get(place)), one),
                foreign_keys=tuple(
                    key
                    for key in foreign_keys_of(foreign.get(place, []), partial(_referred, default))
                    if one.columns.issuperset(key.columns)
                ),
                unique=tuple(
                    names
                    for names in unique_of(unique.get(place, []), indexes.get(place, []))
                    if one.columns.issuperset(names)
                ),
                comment=_text(comments.get(place)),
                rows=one.rows if one.rows >= 0 else None,
                is_view=one.is_view,
                triggers=one.triggers,
            )


def _text(comment: Told | None) -> str:
    return (comment or {}).get("text") or ""


def _visible(key: tuple[str, ...], seen: _Seen) -> tuple[str, ...]:
    return key if seen.columns.issuperset(key) else ()


def _named(default: str, schema: str, bare: str) -> str:
    return bare if schema == default else f"{schema}.{bare}"


def _referred(default: str, schema: str | None, bare: str) -> str:
    """Without a schema a table is on the search path, where only the default one has any."""
    return _named(default, schema or default, bare)
