"""SQL that makes a login which may do what is wanted, and no more: for the owner of the database to run."""

from collections.abc import Iterable, Sequence
from typing import Final

from stepwell.errors import InvalidRequest
from stepwell.nldb.applied_table import create_sql, grant_sql
from stepwell.nldb.guard.refusals import listed, nearest
from stepwell.nldb.model import Catalog, Table
from stepwell.quoting import quoted

READER: Final = "stepwell_reader"
WRITER: Final = "stepwell_writer"

_HEAD: Final = """\
-- A login that may {what} and nothing else. Read it, then run it with psql as the owner of the
-- database, who may make roles. Then keep the password (stepwell secrets set NAME), forget the
-- datasource (stepwell datasource remove), and add it again with
--   postgresql://{bare_login}:secret://store/NAME@HOST:5432/{bare_database}
CREATE ROLE {login} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    NOINHERIT CONNECTION LIMIT 8;
\\password {login}

-- What holds for it wherever it is used from.
ALTER ROLE {login} SET default_transaction_read_only = on;
ALTER ROLE {login} SET statement_timeout = '15s';
ALTER ROLE {login} SET lock_timeout = '2s';
ALTER ROLE {login} SET idle_in_transaction_session_timeout = '20s';
ALTER ROLE {login} SET work_mem = '16MB';
ALTER ROLE {login} SET search_path = pg_catalog, {schema};
-- As a superuser only:
-- ALTER ROLE {login} SET temp_file_limit = '64MB';

-- What everybody may do by default, and nobody needs to.
REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC;
REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
-- These hold for all other logins too, so see who needs them:
-- REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean), pg_notify(text, text),
--     pg_sleep(double precision), pg_advisory_lock(bigint) FROM PUBLIC;

GRANT CONNECT ON DATABASE {database} TO {login};
"""
_WRITES: Final = """
-- What lets it change rows (docs/changes.md). Each transaction says that it writes, so the default
-- above stays. The table is ours: who finds a row in it knows that a change is made.
{applied};
{grant};
"""
_TAIL: Final = """
-- Rows of one tenant only, where a table has one (the policies of Stepwell filter rows besides):
-- ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
-- CREATE POLICY stepwell_reads ON {table} FOR SELECT TO {login} USING (tenant_id = 1);
-- Do not let the policy look at a setting: a SELECT can change settings.
"""


def hardening(catalog: Catalog, database: str, writes: Sequence[str] = ()) -> str:
    """Roles, settings, grants and hints for what the catalog has.

    `writes` are the tables of which rows are changed too, by their names in the catalog.

    Raises:
        InvalidRequest: one of them is not there, or is a view.
    """
    bare = WRITER if writes else READER
    login, schema = quoted(bare), quoted(catalog.default_schema)
    head = _HEAD.format(
        what="read, and change rows of some tables," if writes else "read",
        login=login,
        bare_login=bare,
        schema=schema,
        database=quoted(database),
        bare_database=database,
    )
    tables = list(map(_full, catalog.tables.values()))
    schemas = sorted({table.schema for table in catalog.tables.values()})
    usage = _lines(f"GRANT USAGE ON SCHEMA {quoted(name)} TO {login};" for name in schemas)
    grants = _lines(f"GRANT SELECT ON {table} TO {login};" for table in tables)
    columns = "-- Some columns only: GRANT SELECT (id, name) ON ... TO ...;\n"
    changes = _changes(catalog, bare, _written(catalog, writes)) if writes else ""
    # A line break in a name would end the comment, and what follows it would run.
    plain = [name for name in tables if name.isprintable()]
    tail = _TAIL.format(login=login, table=plain[0]) if plain else ""
    return head + usage + columns + grants + changes + tail


def _written(catalog: Catalog, writes: Sequence[str]) -> list[Table]:
    able = {name: table for name, table in catalog.tables.items() if not table.is_view}
    for name in writes:
        if name not in able:
            hint = nearest(name, able) or f"there are {listed(able)}"
            raise InvalidRequest(f"there is no table {name} of which rows could be changed; {hint}")
    return [able[name] for name in dict.fromkeys(writes)]


def _changes(catalog: Catalog, bare: str, tables: Iterable[Table]) -> str:
    """Grants for changes. A row is locked before it goes, and to lock one takes UPDATE."""
    login = quoted(bare)
    text = _WRITES.format(
        applied=create_sql(catalog.default_schema), grant=grant_sql(catalog.default_schema, bare)
    )
    written = list(tables)
    text += _lines(f"GRANT INSERT, UPDATE, DELETE ON {_full(one)} TO {login};" for one in written)
    return text + _lines(
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {quoted(schema)} TO {login};"
        for schema in sorted({one.schema for one in written})
    )


def _full(table: Table) -> str:
    return f"{quoted(table.schema)}.{quoted(table.bare)}"


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
