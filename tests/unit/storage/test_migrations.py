"""The migrations make what the tables say."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from stepwell_storage.sql import migrate
from stepwell_storage.sql.tables import labels, meta, metadata


@pytest.fixture
def connection() -> sa.Connection:
    return sa.create_engine("sqlite+pysqlite://").connect()


def scripts() -> Config:
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    return config


def upgrade_to(revision: str, connection: sa.Connection) -> None:
    """Brings a database to a revision that is not the newest."""
    config = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


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


def test_a_migrated_database_has_the_same_indexes_as_a_new_one() -> None:
    """Of a partial index the comparison above does not see which rows it has."""

    def indexes(make: Callable[[sa.Connection], None]) -> set[tuple[str, str]]:
        with sa.create_engine("sqlite+pysqlite://").connect() as made:
            make(made)
            named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            return {(name, sql) for name, sql in made.execute(sa.text(named))}

    assert indexes(migrate.upgrade) == indexes(migrate.create)


def test_runs_that_are_there_can_be_listed_by_their_labels(connection: sa.Connection) -> None:
    old = "INSERT INTO runs VALUES ('default', :run, 'w', 'v', 'p', 's', :at, 0, 0, :labels, '')"
    with connection:
        upgrade_to("0001", connection)
        for n in range(2500):
            text = json.dumps({"n": str(n), "größe": "'"} if n % 5 == 0 else {})
            values = {"run": n.to_bytes(16, "big"), "at": n, "labels": text}
            connection.execute(sa.text(old), values)
        migrate.upgrade(connection)

        found = connection.execute(sa.select(labels).order_by(labels.c.run, labels.c.key)).all()
        assert len(found) == 1000
        run = (5).to_bytes(16, "big")
        assert found[2:4] == [
            ("default", run, "größe", "'", 5),
            ("default", run, "n", "5", 5),
        ]


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
    assert ScriptDirectory.from_config(scripts()).get_current_head() == migrate.NEWEST


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
