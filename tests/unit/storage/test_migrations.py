"""The migrations make what the tables say."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from stepwell_storage.sql import migrate
from stepwell_storage.sql.tables import meta, metadata


@pytest.fixture
def connection() -> sa.Connection:
    return sa.create_engine("sqlite+pysqlite://").connect()


@pytest.mark.parametrize("make", [migrate.create, migrate.upgrade])
def test_a_new_database_has_the_tables_that_we_describe(
    connection: sa.Connection, make: Callable[[sa.Connection], None]
) -> None:
    with connection:
        make(connection)
        context = MigrationContext.configure(
            connection, opts={"version_table": migrate.VERSION_TABLE, "compare_type": True}
        )

        assert compare_metadata(context, metadata) == []
        assert connection.execute(migrate.revision).scalar_one() == migrate.NEWEST
        assert len(connection.execute(sa.select(meta.c.store)).scalar_one()) == 32


@pytest.mark.parametrize("make", [migrate.create, migrate.upgrade])
def test_migrating_again_changes_nothing(
    connection: sa.Connection, make: Callable[[sa.Connection], None]
) -> None:
    with connection:
        make(connection)
        before = connection.execute(sa.select(meta)).all()
        migrate.upgrade(connection)
        assert connection.execute(sa.select(meta)).all() == before


def test_the_newest_revision_is_the_last_script() -> None:
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_current_head() == migrate.NEWEST


def test_every_primary_key_begins_with_the_namespace() -> None:
    for table in metadata.sorted_tables:
        if table is not meta:
            assert next(iter(table.primary_key.columns)).name == "namespace", table.name


def test_alembic_is_not_loaded_when_there_is_nothing_to_migrate(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from stepwell_storage.sql.sqlite import SqliteStorage

async def main():
    storage = SqliteStorage(Path(sys.argv[1]))
    await storage.open()
    await storage.close()

asyncio.run(main())
print("alembic" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "runs.db")]
    loaded = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert loaded == ["False", "False"]
