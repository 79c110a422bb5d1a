"""The leases."""

from stepwell_storage.memory.database import Database, KeptRun
from stepwell_storage.records import Lease


class MemoryClaims:
    """The leases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, owner: str, *, now: int, expires_at: int, limit: int) -> list[Lease]:
        expired = [
            (kept.expires_at, run, namespace, kept)
            for namespace, run, kept in self._database.live()
            if kept.expires_at is not None and kept.expires_at <= now and kept.owner != owner
        ]
        expired.sort(key=lambda found: found[:3])
        leases = []
        for _, run, namespace, kept in expired[:limit]:
            kept.owner, kept.expires_at = owner, expires_at
            kept.epoch += 1
            leases.append(Lease(namespace, run, kept.epoch))
        return leases

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        held = self._held(owner)
        for kept in held:
            kept.expires_at = expires_at
        return len(held)

    async def release(self, owner: str, *, now: int) -> int:
        held = self._held(owner)
        for kept in held:
            kept.owner, kept.expires_at = None, now
        return len(held)

    def _held(self, owner: str) -> list[KeptRun]:
        return [kept for _, _, kept in self._database.live() if kept.owner == owner]
