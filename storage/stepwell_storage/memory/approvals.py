"""What runs ask of people."""

from msgspec.structs import replace

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database, KeptNamespace
from stepwell_storage.records import WAITING, WITHDRAWN, Append, ApprovalRow


def note(namespace: KeptNamespace, append: Append) -> None:
    """Brings the list up to what an append says of it."""
    for row in append.approvals:
        namespace.approvals[row.id] = row
    if append.withdraws is None:
        return
    for id, row in namespace.approvals.items():
        if row.run == append.run and row.status == WAITING:
            withdrawn = replace(row, status=WITHDRAWN, decided_at=append.withdraws)
            namespace.approvals[id] = withdrawn


class MemoryApprovals:
    """The list of approvals."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, namespace: str, id: str) -> ApprovalRow:
        row = self._database[namespace].approvals.get(id)
        if row is None:
            raise Missing(f"There is no approval {id!r}.")
        return row

    async def waiting(self, *, since: int, limit: int) -> list[tuple[str, ApprovalRow]]:
        found = [
            (namespace, row)
            for namespace, kept in self._database.items()
            for row in kept.approvals.values()
            if row.status == WAITING and row.requested_at >= since
        ]
        found.sort(key=lambda it: (it[1].requested_at, it[1].id))
        return found[:limit]

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        status: str | None = None,
        before: tuple[int, str] | None = None,
    ) -> list[ApprovalRow]:
        rows = [
            row
            for row in self._database[namespace].approvals.values()
            if status in (None, row.status)
            and (before is None or (row.requested_at, row.id) < before)
        ]
        rows.sort(key=lambda row: (row.requested_at, row.id), reverse=True)
        return rows[:limit]
