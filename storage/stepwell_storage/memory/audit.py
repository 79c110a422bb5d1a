"""What was done, in one chain of hashes per namespace."""

from itertools import islice

from stepwell_storage.chain import NOTHING, link
from stepwell_storage.memory.database import Database
from stepwell_storage.records import AuditEntry, AuditHead, Deed, StoredRow, Unnoted


def append(database: Database, namespace: str, deed: Deed) -> int:
    """Puts a deed at the end of the chain."""
    kept = database[namespace].audit
    previous = kept[-1].hash if kept else NOTHING
    kept.append(link(namespace, deed, after=len(kept), previous=previous))
    return len(kept)


class MemoryAudit:
    """The chains."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, namespace: str, deed: Deed) -> int:
        return append(self._database, namespace, deed)

    async def note(self, namespace: str, deed: Deed, *, after: int, to: int) -> int | None:
        kept = self._database[namespace]
        if kept.noted != after:
            return None
        kept.noted = to
        return append(self._database, namespace, deed)

    async def head(self, namespace: str) -> AuditHead:
        kept = self._database[namespace]
        if not kept.audit:
            return AuditHead(0, NOTHING, kept.noted)
        return AuditHead(kept.audit[-1].sequence, kept.audit[-1].hash, kept.noted)

    async def read(self, namespace: str, *, after: int = 0, limit: int = 1000) -> list[AuditEntry]:
        return self._database[namespace].audit[after : after + limit]

    async def unnoted(self, *, limit: int) -> list[Unnoted]:
        found = [
            Unnoted(name, kept.noted, len(kept.log))
            for name, kept in sorted(self._database.items())
            if len(kept.log) > kept.noted
        ]
        return found[:limit]

    async def rows(
        self, namespace: str, *, after: int, to: int, limit: int = 1000
    ) -> list[StoredRow]:
        rest = islice(self._database[namespace].log, after, to)
        found = (
            StoredRow(
                it.run,
                it.record.sequence,
                it.position,
                it.record.kind,
                it.record.principal,
                it.record.body,
            )
            for it in rest
            if it is not None
        )
        return list(islice(found, limit))

    async def namespaces(self) -> list[str]:
        return sorted(name for name, kept in self._database.items() if kept.audit)
