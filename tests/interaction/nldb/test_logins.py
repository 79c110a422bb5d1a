"""What is said of a PostgreSQL login when its datasource is added or checked."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from dev.postgres import PostgresServer

from stepwell.errors import InvalidRequest
from stepwell.nldb.datasources import OwnFiles, check_datasource
from stepwell.nldb.inspection import Inspection
from stepwell.nldb.postgres.database import PostgresDatabase
from stepwell.nldb.postgres.place import place_of
from stepwell.tools.process import ProcessPool
from stepwell.tools.secrets import Secrets
from stepwell_storage.sql.postgres.storage import PostgresStorage

pytestmark = pytest.mark.anyio

NONE = Secrets({"SHORT": "a-password"}, home=Path("/nowhere"))
OWN = OwnFiles(home=Path("/nowhere"))


@pytest.fixture
async def role(shop_url: str) -> AsyncIterator[str]:
    """A login that may do nothing, for as long as a test lasts."""
    run(shop_url, "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    yield "reader"
    run(
        shop_url, "REASSIGN OWNED BY reader TO postgres", "DROP OWNED BY reader", "DROP ROLE reader"
    )


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def as_role(url: str) -> str:
    return url.replace("postgres@", "reader@")


async def inspected(url: str) -> Inspection:
    database = PostgresDatabase(place_of(url), NONE)
    try:
        return await database.inspect()
    finally:
        await database.close()


async def add(url: str, processes: ProcessPool, *, accept_risks: bool = False) -> None:
    await check_datasource(url, accept_risks, processes=processes, own=OWN, secrets=NONE)


async def test_a_superuser_is_refused_unless_its_risks_are_accepted(
    shop_url: str, processes: ProcessPool
) -> None:
    with pytest.raises(InvalidRequest, match="postgres is a superuser") as refused:
        await add(shop_url, processes)
    assert "--accept-risks" in refused.value.message
    await add(shop_url, processes, accept_risks=True)


async def test_a_reader_is_taken_without_a_word(
    shop_url: str, role: str, processes: ProcessPool
) -> None:
    run(shop_url, "GRANT SELECT ON customers TO reader")
    await add(as_role(shop_url), processes)
    found = await inspected(as_role(shop_url))
    assert (found.login, found.tables, found.findings) == ("reader", ("customers",), ())


async def test_whoever_owns_writes_or_creates_is_warned_of(shop_url: str, role: str) -> None:
    run(
        shop_url,
        "ALTER TABLE customers OWNER TO reader",
        "GRANT UPDATE ON orders TO reader",
        "GRANT SELECT ON big TO reader",
        "GRANT CREATE ON SCHEMA stock TO reader",
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO reader",
    )
    found = await inspected(as_role(shop_url))
    assert {one.rule: one.level for one in found.findings} == {
        "login.owner": "warn",
        "login.writes": "warn",
        "login.creates": "warn",
        "login.functions": "warn",
        "views.owner": "warn",
    }
    assert all(one.advice for one in found.findings)


async def test_whoever_reaches_the_server_is_refused(
    shop_url: str, role: str, processes: ProcessPool
) -> None:
    run(shop_url, "GRANT pg_execute_server_program TO reader", "ALTER ROLE reader CREATEROLE")
    found = await inspected(as_role(shop_url))
    assert [one.rule for one in found.refusals] == ["login.administrates", "login.server"]
    with pytest.raises(InvalidRequest, match="pg_execute_server_program"):
        await add(as_role(shop_url), processes)
    run(shop_url, "REVOKE pg_execute_server_program FROM reader")


async def test_the_printed_sql_makes_a_login_without_findings(
    shop_url: str, postgres: PostgresServer
) -> None:
    run(shop_url, "ALTER VIEW big SET (security_invoker = true)")
    made = (await inspected(shop_url)).hardening
    statements = "\n".join(line for line in made.splitlines() if not line.startswith(("--", "\\")))
    run(shop_url, statements)
    try:
        found = await inspected(shop_url.replace("postgres@", "stepwell_reader@"))
        assert found.findings == ()
        assert found.tables == (await inspected(shop_url)).tables
    finally:
        run(shop_url, "DROP OWNED BY stepwell_reader", "DROP ROLE stepwell_reader")


async def test_our_own_database_is_refused(
    emptied_postgres_url: str, processes: ProcessPool
) -> None:
    storage = PostgresStorage(emptied_postgres_url)
    await storage.open()
    await storage.close()
    with pytest.raises(InvalidRequest, match="Stepwell itself keeps its data"):
        await add(emptied_postgres_url, processes, accept_risks=True)


async def test_a_server_that_is_not_there_is_told_without_the_password(
    processes: ProcessPool,
) -> None:
    url = "postgresql://reader:secret://env/SHORT@127.0.0.1:1/shop"
    with pytest.raises(InvalidRequest, match="cannot be reached") as refused:
        await add(url, processes)
    assert "a-password" not in refused.value.message
