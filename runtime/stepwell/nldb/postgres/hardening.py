"""SQL that makes a login which may read, and nothing else: for the owner of the database to run."""

from collections.abc import Iterable
from typing import Final

from stepwell.nldb.model import Catalog
from stepwell.quoting import quoted

LOGIN: Final = "stepwell_reader"

_HEAD: Final = """\
-- A login that may read and nothing else. Run it as the owner of the database, read it first.
-- Then: stepwell secrets set NAME (the password), and add the datasource again with
--   postgresql://stepwell_reader:secret://store/NAME@HOST:5432/DATABASE
CREATE ROLE {login} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
    NOINHERIT CONNECTION LIMIT 8;
\\password {login}

-- What holds for it wherever it is used from.
ALTER ROLE {login} SET default_transaction_read_only = on;
ALTER ROLE {login} SET statement_timeout = '15s';
ALTER ROLE {login} SET lock_timeout = '2s';
ALTER ROLE {login} SET idle_in_transaction_session_timeout = '20s';
ALTER ROLE {login} SET work_mem = '16MB';
ALTER ROLE {login} SET temp_file_limit = '64MB';
ALTER ROLE {login} SET search_path = pg_catalog, {schema};

-- What everybody may do by default, and nobody needs to.
REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC;
REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
-- These hold for all other logins too, so see who needs them:
-- REVOKE EXECUTE ON FUNCTION set_config(text, text, boolean), pg_notify(text, text),
--     pg_sleep(double precision), pg_advisory_lock(bigint) FROM PUBLIC;

GRANT CONNECT ON DATABASE {database} TO {login};
"""
_TAIL: Final = """
-- Rows of one tenant only, where a table has one (the policies of Stepwell filter rows besides):
-- ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
-- CREATE POLICY stepwell_reads ON {table} FOR SELECT TO {login} USING (tenant_id = 1);
-- Do not let the policy look at a setting: a SELECT can change settings.
"""


def hardening(catalog: Catalog, database: str) -> str:
    """Roles, settings, grants and hints for what the catalog has."""
    login, schema = quoted(LOGIN), quoted(catalog.default_schema)
    head = _HEAD.format(login=login, schema=schema, database=quoted(database))
    tables = [f"{quoted(table.schema)}.{quoted(table.bare)}" for table in catalog.tables.values()]
    schemas = sorted({table.schema for table in catalog.tables.values()})
    usage = _lines(f"GRANT USAGE ON SCHEMA {quoted(name)} TO {login};" for name in schemas)
    grants = _lines(f"GRANT SELECT ON {table} TO {login};" for table in tables)
    columns = "-- Some columns only: GRANT SELECT (id, name) ON ... TO ...;\n"
    tail = _TAIL.format(login=login, table=tables[0]) if tables else ""
    return head + usage + columns + grants + tail


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
