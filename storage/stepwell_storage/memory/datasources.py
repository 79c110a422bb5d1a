"""Databases that tools may reach."""

from msgspec import structs

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import DatasourceRow


class MemoryDatasources:
    """The datasources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, namespace: str, row: DatasourceRow) -> None:
        kept = self._database[namespace].datasources
        if row.name in kept:
            raise Exists(f"There is a datasource {row.name!r} already.")
        kept[row.name] = row

    async def get(self, namespace: str, name: str) -> DatasourceRow:
        row = self._database[namespace].datasources.get(name)
        if row is None:
            raise Missing(f"There is no datasource {name!r}.")
        return row

    async def list(self, namespace: str) -> list[DatasourceRow]:
        kept = self._database[namespace].datasources
        return [kept[name] for name in sorted(kept)]

    async def teach(self, namespace: str, name: str, taught: bytes) -> None:
        row = await self.get(namespace, name)
        self._database[namespace].datasources[name] = structs.replace(row, taught=taught)

    async def remove(self, namespace: str, name: str) -> None:
        if self._database[namespace].datasources.pop(name, None) is None:
            raise Missing(f"There is no datasource {name!r}.")
