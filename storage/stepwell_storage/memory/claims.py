"""The leases."""

from collections.abc import Sequence

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database, KeptRun
from stepwell_storage.memory.inbox import has_letters
from stepwell_storage.records import FOR_EVER, Lease, Rest


class MemoryClaims:
    """The leases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, owner: str, *, now: int, expires_at: int, limit: int, only_free: bool = False
    ) -> list[Lease]:
        expired = [
            (kept.expires_at, run, namespace, kept)
            for namespace, run, kept in self._database.live()
            if kept.expires_at is not None
            and kept.expires_at <= now
            and (kept.owner is None if only_free else kept.owner != owner)
        ]
        expired.sort(key=lambda found: found[:3])
        leases = []
        for _, run, namespace, kept in expired[:limit]:
            kept.owner, kept.expires_at = owner, expires_at
            kept.epoch += 1
            leases.append(Lease(namespace, run, kept.epoch))
        return leases

    async def evict(self, owner: str, *, now: int) -> int:
        others = [kept for _, _, kept in self._database.live() if kept.owner not in (owner, None)]
        for kept in others:
            kept.owner, kept.expires_at = None, now
        return len(others)

    async def last(self, namespace: str, run: str) -> Lease:
        kept = self._database[namespace].runs.get(run)
        if kept is None:
            raise Missing(f"There is no run {run}.")
        return Lease(namespace, run, kept.epoch)

    async def held(self, owner: str) -> list[Lease]:
        return [
            Lease(namespace, run, kept.epoch)
            for namespace, run, kept in self._database.live()
            if kept.owner == owner
        ]

    async def heartbeat(self, owner: str, *, expires_at: int) -> int:
        held = self._held(owner)
        for kept in held:
            kept.expires_at = expires_at
        return len(held)

    async def park(self, owner: str, rests: Sequence[Rest]) -> list[Rest]:
        parked = [rest for rest in rests if self._may_rest(owner, rest)]
        for rest in parked:
            kept = self._database[rest.namespace].runs[rest.run]
            kept.owner = None
            kept.expires_at = FOR_EVER if rest.wake_at is None else rest.wake_at
        if len(parked) < len(rests):
            self._database.bell.ring()
        return parked

    async def next_wake(self) -> int | None:
        wakes = [kept.expires_at for _, _, kept in self._database.live() if kept.owner is None]
        return min((at for at in wakes if at is not None and at < FOR_EVER), default=None)

    async def release(self, owner: str, *, now: int) -> int:
        held = self._held(owner)
        for kept in held:
            kept.owner, kept.expires_at = None, now
        return len(held)

    def _may_rest(self, owner: str, rest: Rest) -> bool:
        namespace = self._database[rest.namespace]
        kept = namespace.runs.get(rest.run)
        return (
            kept is not None
            and (kept.owner, kept.epoch, len(kept.records)) == (owner, rest.epoch, rest.sequence)
            and not has_letters(namespace, rest.run)
        )

    def _held(self, owner: str) -> list[KeptRun]:
        return [kept for _, _, kept in self._database.live() if kept.owner == owner]
