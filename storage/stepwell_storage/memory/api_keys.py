"""Keys that callers show to say who they are."""

from msgspec.structs import replace

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import ApiKeyRow


class MemoryApiKeys:
    """The API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, namespace: str, row: ApiKeyRow) -> None:
        if await self.find(row.id) is not None:
            raise Exists(f"There is an API key {row.id!r} already.")
        self._database[namespace].api_keys[row.id] = row

    async def find(self, id: str) -> tuple[str, ApiKeyRow] | None:
        for namespace, kept in self._database.items():
            if row := kept.api_keys.get(id):
                return namespace, row
        return None

    async def list(self, namespace: str) -> list[ApiKeyRow]:
        rows = self._database[namespace].api_keys.values()
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    async def revoke(self, namespace: str, id: str, *, now: int) -> ApiKeyRow:
        kept = self._database[namespace].api_keys
        row = kept.get(id)
        if row is None:
            raise Missing(f"There is no API key {id!r}.")
        if row.revoked_at is None:
            row = kept[id] = replace(row, revoked_at=now)
        return row

    async def touch(self, namespace: str, id: str, *, now: int) -> None:
        kept = self._database[namespace].api_keys
        if row := kept.get(id):
            kept[id] = replace(row, used_at=now)
