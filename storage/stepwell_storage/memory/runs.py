"""The list of runs."""

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import RunRow


class MemoryRuns:
    """The list of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, namespace: str, run: str) -> RunRow:
        kept = self._database[namespace].runs.get(run)
        if kept is None:
            raise Missing(f"There is no run {run}.")
        return kept.row

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        before: tuple[int, str] | None = None,
        status: str | None = None,
        workflow: str | None = None,
    ) -> list[RunRow]:
        rows = [
            kept.row
            for kept in self._database[namespace].runs.values()
            if (before is None or (kept.row.created_at, kept.row.run) < before)
            and (status is None or kept.row.status == status)
            and (workflow is None or kept.row.workflow == workflow)
        ]
        rows.sort(key=lambda row: (row.created_at, row.run), reverse=True)
        return rows[:limit]
