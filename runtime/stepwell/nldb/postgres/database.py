"""A PostgreSQL database for the tools."""

import asyncio
from collections.abc import Sequence

import psycopg

from stepwell.errors import InvalidRequest
from stepwell.nldb.catalog import postgres as catalogs
from stepwell.nldb.catalog.postgres_stamp import stamp_of
from stepwell.nldb.database import SchemaMoved
from stepwell.nldb.guard import Checked
from stepwell.nldb.inspection import Inspection
from stepwell.nldb.limits import Limits, timed_out
from stepwell.nldb.model import Access, Catalog, Dialect
from stepwell.nldb.postgres import plans
from stepwell.nldb.postgres.connections import Connection, Connections
from stepwell.nldb.postgres.errors import told
from stepwell.nldb.postgres.hardening import hardening
from stepwell.nldb.postgres.login import facts_of, findings_of
from stepwell.nldb.postgres.place import Place
from stepwell.nldb.postgres.reading import read
from stepwell.nldb.postgres.transaction import begin_read
from stepwell.nldb.rows import Rows
from stepwell.tools.port import Begin, NotBegun
from stepwell.tools.secrets import Secrets

_FACTS = f"""
SELECT {catalogs.DEFAULT_SCHEMA}, CASE WHEN current_setting('server_version_num')::int
    >= 150000 THEN has_parameter_privilege('temp_file_limit', 'SET') ELSE false END
"""


class PostgresDatabase:
    """One database, by a login. `connections` are for whoever needs another transaction."""

    dialect: Dialect = "postgres"

    def __init__(self, place: Place, secrets: Secrets) -> None:
        self.connections = Connections(place, secrets)
        self._place = place
        self._facts: tuple[str, bool] | None = None

    async def stamp(self) -> str:
        """As `Database.stamp`."""
        async with self.connections.lend() as connection:
            try:
                return await stamp_of(connection)
            except psycopg.Error as error:
                raise told(error, Limits()) from error

    async def catalog(self) -> tuple[str, Catalog]:
        """As `Database.catalog`."""
        parameters = self.connections.parameters()
        try:
            return await asyncio.to_thread(catalogs.read, parameters)
        except psycopg.Error as error:
            raise self.connections.failure(error) from error

    async def read(
        self,
        checked: Checked,
        access: Access,
        limits: Limits,
        *,
        stamp: str,
        begin: Begin | None = None,
    ) -> Rows:
        """As `Database.read`."""
        async with self.connections.lend() as connection:
            if begin is not None and not await begin():
                raise NotBegun
            try:
                async with asyncio.timeout(limits.timeout.total_seconds()):
                    return await self._read(connection, checked, limits, stamp)
            except psycopg.Error as error:
                raise told(error, limits) from error
            except TimeoutError as error:
                raise timed_out(limits) from error

    async def inspect(self, writes: Sequence[str] = ()) -> Inspection:
        """As `Database.inspect`."""
        async with self.connections.lend() as connection:
            try:
                facts = await facts_of(connection)
            except psycopg.Error as error:
                raise told(error, Limits()) from error
        if facts.is_own:
            own = (
                "Stepwell itself keeps its data in that database: whoever reads it reads every "
                "sealed value; name a database of yours"
            )
            raise InvalidRequest(own, detail={"url": own})
        _, catalog = await self.catalog()
        return Inspection(
            dialect="postgres",
            version=catalog.version,
            login=facts.login,
            tables=tuple(catalog.tables),
            fingerprint=catalog.fingerprint,
            findings=findings_of(facts),
            hardening=hardening(catalog, self._place.database, writes),
        )

    async def close(self) -> None:
        """As `Database.close`."""
        await self.connections.close()

    async def _read(
        self,
        connection: Connection,
        checked: Checked,
        limits: Limits,
        stamp: str,
    ) -> Rows:
        schema, caps_disk = await self.facts(connection)
        await begin_read(connection, limits, schema=schema, caps_disk=caps_disk)
        if await stamp_of(connection) != stamp:
            raise SchemaMoved
        await plans.check(connection, checked, limits)
        rows = await read(connection, checked, limits)
        await connection.execute("ROLLBACK")
        return rows

    async def facts(self, connection: Connection) -> tuple[str, bool]:
        """The default schema of the login, and whether it may cap the temporary files of a query."""
        if self._facts is None:
            row = await (await connection.execute(_FACTS)).fetchone()
            assert row is not None
            self._facts = (str(row[0]), bool(row[1]))
        return self._facts
