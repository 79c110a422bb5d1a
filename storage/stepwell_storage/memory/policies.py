"""Versions of policies, and which of them is in force."""

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import PolicyHead, PolicyRow


class MemoryPolicies:
    """The policies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, namespace: str, row: PolicyRow) -> bool:
        kept = self._database[namespace].policies
        return kept.setdefault(row.version, row) is row

    async def apply(self, namespace: str, head: PolicyHead) -> None:
        await self.get(namespace, head.version)
        self._database[namespace].policy = head

    async def withdraw(self, namespace: str) -> bool:
        kept = self._database[namespace]
        was_there, kept.policy = kept.policy is not None, None
        return was_there

    async def get(self, namespace: str, version: str) -> PolicyRow:
        row = self._database[namespace].policies.get(version)
        if row is None:
            raise Missing(f"There is no version {version!r} of the policy.")
        return row

    async def list(self, namespace: str) -> list[PolicyRow]:
        kept = self._database[namespace].policies.values()
        return sorted(kept, key=lambda row: (-row.created_at, row.version))

    async def in_force(self) -> dict[str, PolicyHead]:
        return {
            name: kept.policy
            for name, kept in sorted(self._database.items())
            if kept.policy is not None
        }
