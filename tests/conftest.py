"""What every test may rely on."""

import os
import secrets
from collections.abc import AsyncIterator, Generator, Iterator

import psycopg
import pytest
from dev.postgres import PostgresServer, running_postgres
from hypothesis import settings
from psycopg import sql
from tests.processes import end_processes_in

from stepwell.garbage import not_collected

settings.register_profile("tests", deadline=None)  # a busy machine is no bug
settings.load_profile("tests")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of real daemons wait for leases and for the disk."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects tests without looking for cycles, which is half of its time: all of them stay."""
    with not_collected():
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A daemon that is forgotten keeps its ports, and the next session fails of it."""
    yield
    left = end_processes_in(tmp_path_factory.getbasetemp())
    assert not left, f"these were left running, and are ended now: {left}"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests (`pytest.mark.anyio`) run on the loop that the product runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """All tests from here on share a loop: gRPC has one poller a process, which misses a closed one."""
    yield  # noqa: PT022 - the loop lives as long as this fixture is open


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, for as long as tests want one."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A new database."""
    name = f"test_{secrets.token_hex(8)}"
    yield postgres.create_database(name)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def shared_postgres_url(postgres: PostgresServer) -> str:
    """A database that is made once: a new one for each of hundreds of tests takes minutes."""
    return postgres.create_database("shared")


@pytest.fixture
def emptied_postgres_url(shared_postgres_url: str) -> str:
    """A database without a row, though others have used it before."""
    ours = "FROM pg_tables WHERE schemaname = 'stepwell'"
    with psycopg.connect(shared_postgres_url, autocommit=True) as connection:
        tables = {name for (name,) in connection.execute(f"SELECT tablename {ours}".encode())}
        emptied = sorted(tables - {"meta", "stepwell_schema"})
        connection.execute(";".join(f"DELETE FROM stepwell.{name}" for name in emptied).encode())
    return shared_postgres_url
