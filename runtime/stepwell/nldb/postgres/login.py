"""What a login may do besides reading, and what its owner can do about it."""

from typing import Any, Final

import psycopg
import psycopg.rows
from msgspec import Struct

from stepwell.nldb.inspection import Finding
from stepwell.nldb.postgres.connections import Connection

_FACTS: Final = """
WITH ours AS (
    SELECT c.oid, c.relowner, format('%I.%I', n.nspname, c.relname) AS name, c.relkind,
        c.reloptions, c.relrowsecurity
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND c.relpersistence <> 't'
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
)
SELECT r.rolname AS login, r.rolsuper AS is_super, r.rolbypassrls AS bypasses,
    r.rolreplication AS replicates, r.rolcreaterole OR r.rolcreatedb AS creates,
    ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_roles g WHERE g.rolname IN (
        'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program',
        'pg_read_all_data', 'pg_write_all_data', 'pg_signal_backend')
        AND pg_has_role(r.oid, g.oid, 'MEMBER')) AS grants,
    ARRAY(SELECT name FROM ours WHERE pg_has_role(r.oid, relowner, 'MEMBER') ORDER BY 1) AS owned,
    ARRAY(SELECT name FROM ours WHERE relkind IN ('r', 'p', 'v', 'f')
        AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1) AS writable,
    ARRAY(SELECT name FROM ours WHERE relkind = 'v'
        AND has_table_privilege(oid, 'SELECT') AND NOT coalesce(
        'security_invoker=true' = ANY(reloptions) OR 'security_invoker=on' = ANY(reloptions), false)
        AND EXISTS (SELECT 1 FROM pg_catalog.pg_roles o WHERE o.oid = relowner
            AND (o.rolsuper OR o.rolbypassrls)) ORDER BY 1) AS views,
    ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_'
        AND has_schema_privilege(n.oid, 'CREATE') ORDER BY 1) AS creating,
    ARRAY(SELECT DISTINCT p.proname::text FROM pg_catalog.pg_proc p WHERE p.proname IN (
        'pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'lo_import', 'lo_export', 'dblink',
        'dblink_exec', 'dblink_connect', 'pg_reload_conf')
        AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1) AS functions,
    coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS ssl,
    coalesce(host(inet_server_addr()), '') AS address,
    to_regclass('stepwell.stepwell_schema') IS NOT NULL AS is_own
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
_MOST: Final = 5


class Facts(Struct, frozen=True, kw_only=True):
    """What PostgreSQL says of the login, and of the way to it."""

    login: str
    is_super: bool
    bypasses: bool
    replicates: bool
    creates: bool
    grants: list[str]
    owned: list[str]
    writable: list[str]
    views: list[str]
    creating: list[str]
    functions: list[str]
    ssl: bool
    address: str
    is_own: bool


async def facts_of(connection: Connection) -> Facts:
    """The facts, in one statement.

    Raises:
        psycopg.Error: they cannot be read.
    """
    cursor = psycopg.AsyncCursor[dict[str, Any]](connection, row_factory=psycopg.rows.dict_row)
    await cursor.execute(_FACTS.encode())
    row = await cursor.fetchone()
    assert row is not None
    return Facts(**row)


def findings_of(facts: Facts) -> tuple[Finding, ...]:
    """What should be otherwise, the worst first."""
    return (*_refused(facts), *_warned(facts))


def _refused(facts: Facts) -> list[Finding]:
    found: list[Finding] = []
    if facts.is_super:
        found.append(
            Finding(
                level="refuse",
                rule="login.superuser",
                what=f"{facts.login} is a superuser: no grant and no row-level security holds it",
                advice="use a login of its own; `stepwell datasource emit-sql` prints how to make it",
            )
        )
        return found
    if facts.replicates or facts.creates:
        found.append(
            Finding(
                level="refuse",
                rule="login.administrates",
                what=f"{facts.login} may replicate, or make roles or databases",
                advice=f"ALTER ROLE {facts.login} NOREPLICATION NOCREATEROLE NOCREATEDB",
            )
        )
    server = [grant for grant in facts.grants if "server" in grant or "signal" in grant]
    if server:
        found.append(
            Finding(
                level="refuse",
                rule="login.server",
                what=f"{facts.login} may reach files or programs of the server: {_some(server)}",
                advice=f"REVOKE {', '.join(server)} FROM {facts.login}",
            )
        )
    return found


def _warned(facts: Facts) -> list[Finding]:
    found: list[Finding] = []

    def warn(rule: str, what: str, advice: str) -> None:
        found.append(Finding(level="warn", rule=rule, what=what, advice=advice))

    if facts.is_super:
        return found
    emit = "`stepwell datasource emit-sql` prints a login that does not"
    if facts.bypasses:
        warn(
            "login.bypasses_rls",
            f"{facts.login} bypasses row-level security",
            f"ALTER ROLE {facts.login} NOBYPASSRLS",
        )
    if facts.owned:
        warn(
            "login.owner",
            f"{facts.login} owns {_some(facts.owned)}, and so may change and drop them",
            f"use a login that owns nothing; {emit}",
        )
    if facts.writable or "pg_write_all_data" in facts.grants:
        warn(
            "login.writes",
            f"{facts.login} may write {_some(facts.writable) or 'everything'}",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE, if no write is wanted; {emit}",
        )
    if facts.creating:
        warn(
            "login.creates",
            f"{facts.login} may make tables and functions in {_some(facts.creating)}",
            f"REVOKE CREATE ON SCHEMA {facts.creating[0]} FROM PUBLIC, {facts.login}",
        )
    if facts.functions:
        warn(
            "login.functions",
            f"{facts.login} may call {_some(facts.functions)}",
            f"REVOKE EXECUTE ON FUNCTION {facts.functions[0]} FROM PUBLIC, {facts.login}",
        )
    if facts.views:
        warn(
            "views.owner",
            f"{_some(facts.views)} show rows with the rights of a superuser",
            "ALTER VIEW ... SET (security_invoker = true), or let a plain role own them",
        )
    if not facts.ssl and facts.address not in ("", "127.0.0.1", "::1"):
        warn(
            "connection.plain",
            "the connection is not encrypted",
            "add ?sslmode=verify-full to the URL, with sslrootcert where the server has its own CA",
        )
    return found


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
