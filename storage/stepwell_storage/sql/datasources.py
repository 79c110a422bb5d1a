"""Databases that tools may reach."""

import sqlalchemy as sa
from msgspec import structs

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.records import DatasourceRow
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.session import Session
from stepwell_storage.sql.tables import datasources
from stepwell_storage.sql.writer import Writer

_ALL = (
    sa.select(
        datasources.c.name,
        datasources.c.url,
        datasources.c.principal,
        datasources.c.created_at,
        sa.func.coalesce(datasources.c.taught, b"").label("taught"),
    )
    .where(datasources.c.namespace == sa.bindparam("namespace"))
    .order_by(datasources.c.name)
)
_ONE = _ALL.where(datasources.c.name == sa.bindparam("name"))
_ADD = sa.insert(datasources)
_TEACH = (
    sa.update(datasources)
    .where(
        datasources.c.namespace == sa.bindparam("of_namespace"),
        datasources.c.name == sa.bindparam("of_name"),
    )
    .values(taught=sa.bindparam("taught"))
)
_REMOVE = sa.delete(datasources).where(
    datasources.c.namespace == sa.bindparam("namespace"),
    datasources.c.name == sa.bindparam("name"),
)


class SqlDatasources:
    """The datasources."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, namespace: str, row: DatasourceRow) -> None:
        def add_if_free(session: Session) -> None:
            if session.rows(_ONE, namespace=namespace, name=row.name):
                raise Exists(f"There is a datasource {row.name!r} already.")
            session.change(_ADD, namespace=namespace, **structs.asdict(row))

        await self._writer.call(add_if_free)

    async def get(self, namespace: str, name: str) -> DatasourceRow:
        rows = await self._reader.rows(_ONE, namespace=namespace, name=name)
        if not rows:
            raise Missing(f"There is no datasource {name!r}.")
        return DatasourceRow(*rows[0])

    async def list(self, namespace: str) -> list[DatasourceRow]:
        return [DatasourceRow(*row) for row in await self._reader.rows(_ALL, namespace=namespace)]

    async def teach(self, namespace: str, name: str, taught: bytes) -> None:
        changed = await self._writer.call(
            lambda session: session.change(
                _TEACH, of_namespace=namespace, of_name=name, taught=taught
            )
        )
        if not changed:
            raise Missing(f"There is no datasource {name!r}.")

    async def remove(self, namespace: str, name: str) -> None:
        removed = await self._writer.call(
            lambda session: session.change(_REMOVE, namespace=namespace, name=name)
        )
        if not removed:
            raise Missing(f"There is no datasource {name!r}.")
