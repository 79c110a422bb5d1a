"""Wrapped data keys, with which blobs are encrypted."""

from collections.abc import Sequence

from msgspec.structs import replace

from stepwell_storage.errors import Exists
from stepwell_storage.memory.database import Database
from stepwell_storage.records import KeyRow, RingUse


class MemoryKeys:
    """The keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, namespace: str, row: KeyRow) -> KeyRow:
        kept = self._database[namespace].keys
        found = await self.of_subject(namespace, row.subject)
        if found is not None:
            return found
        if row.id in kept:
            raise Exists(f"There is a key {row.id!r} already.")
        kept[row.id] = row
        return row

    async def get(self, namespace: str, ids: Sequence[str]) -> dict[str, KeyRow]:
        kept = self._database[namespace].keys
        return {id: kept[id] for id in ids if id in kept}

    async def of_subject(self, namespace: str, subject: str) -> KeyRow | None:
        return next((row for row in self._in_use(namespace) if row.subject == subject), None)

    async def destroy(self, namespace: str, subject: str, *, now: int) -> int:
        found = [row for row in self._in_use(namespace) if row.subject == subject]
        for row in found:
            destroyed = replace(row, wrapped=b"", destroyed_at=now)
            self._database[namespace].keys[row.id] = destroyed
        return len(found)

    async def rings(self) -> list[RingUse]:
        found: dict[str, RingUse] = {}
        for namespace in dict(self._database.items()):
            for row in self._in_use(namespace):
                known = found.get(row.ring) or RingUse(row.ring, 0, namespace, row)
                found[row.ring] = replace(known, keys=known.keys + 1)
        return [found[ring] for ring in sorted(found)]

    async def not_wrapped_with(self, ring: str, *, limit: int) -> list[tuple[str, KeyRow]]:
        found = [
            (namespace, row)
            for namespace, _ in self._database.items()
            for row in self._in_use(namespace)
            if row.ring != ring
        ]
        found.sort(key=lambda it: (it[1].ring, it[0], it[1].id))
        return found[:limit]

    async def rewrap(self, namespace: str, row: KeyRow) -> bool:
        kept = self._database[namespace].keys
        found = kept.get(row.id)
        if found is None or found.destroyed_at is not None:
            return False
        kept[row.id] = replace(found, ring=row.ring, wrapped=row.wrapped)
        return True

    def _in_use(self, namespace: str) -> list[KeyRow]:
        kept = self._database[namespace].keys.values()
        return [row for row in kept if row.destroyed_at is None]

    async def list(
        self, namespace: str, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> list[KeyRow]:
        kept = self._database[namespace].keys.values()
        rows = sorted(kept, key=lambda row: (row.subject, row.id))
        return [row for row in rows if (row.subject, row.id) > after][:limit]
