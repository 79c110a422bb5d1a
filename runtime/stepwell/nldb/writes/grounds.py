"""The datasources that are in use, as grounds for changes."""

from stepwell.nldb.database import Database
from stepwell.nldb.databases import Databases
from stepwell.nldb.sqlite.database import SqliteDatabase
from stepwell.nldb.writes.port import Ground, GroundOf, Writer
from stepwell.nldb.writes.sqlite import SqliteWriter
from stepwell.tools.port import CallContext


def grounds_of(databases: Databases) -> GroundOf:
    """Each datasource as whoever calls sees it, with what changes it."""

    async def ground_of(context: CallContext, name: str) -> Ground:
        view = await databases.view(context, name)
        return Ground(writer_of(view.database), view.stamp, view.catalog, view.access, view.place)

    return ground_of


def writer_of(database: Database) -> Writer:
    """What changes this database."""
    if isinstance(database, SqliteDatabase):
        return SqliteWriter(database)
    # psycopg is there, or there would be no such database; without PostgreSQL it need not be.
    from stepwell.nldb.postgres.database import PostgresDatabase
    from stepwell.nldb.writes.postgres import PostgresWriter

    assert isinstance(database, PostgresDatabase)
    return PostgresWriter(database.connections.lend)
