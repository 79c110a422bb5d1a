"""How long ended runs are kept, and how they are forgotten."""

from stepwell_storage.memory import audit, budgets
from stepwell_storage.memory.database import Database, KeptNamespace
from stepwell_storage.ports import Farewell
from stepwell_storage.records import RunRow


class MemoryRetention:
    """The retention of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, namespace: str, keep_us: int | None) -> None:
        self._database[namespace].keep_us = keep_us

    async def kept(self, namespace: str) -> int | None:
        return self._database[namespace].keep_us

    async def purge(self, *, now: int, limit: int, farewell: Farewell | None = None) -> int:
        found = [
            (kept.row.ended_at, name, run)
            for name, namespace in self._database.items()
            for run, kept in namespace.runs.items()
            if namespace.keep_us is not None and _may_go(namespace, kept.row, now)
        ]
        found.sort()
        gone: dict[str, list[str]] = {}
        for _, name, run in found[:limit]:
            _forget(self._database[name], run)
            gone.setdefault(name, []).append(run)
        if farewell is not None:
            for name, runs in gone.items():
                audit.append(self._database, name, farewell(runs))
        return len(found[:limit])


def _may_go(namespace: KeptNamespace, row: RunRow, now: int) -> bool:
    """Whether the time of a run is over, and that of all whose log refers to it or is in its."""
    near = [
        kept.row
        for kept in namespace.runs.values()
        if kept.row.run == row.parent or row.run in (kept.row.parent, kept.row.forked_from)
    ]
    return all(_is_over(namespace, it, now) for it in (row, *near))


def _is_over(namespace: KeptNamespace, row: RunRow, now: int) -> bool:
    return row.ended_at is not None and row.ended_at + (namespace.keep_us or 0) <= now


def _forget(namespace: KeptNamespace, run: str) -> None:
    for logged in namespace.runs.pop(run).records:
        namespace.log[logged.position - 1] = None
    namespace.requests = {
        request: begun for request, begun in namespace.requests.items() if begun[0] != run
    }
    namespace.approvals = {id: it for id, it in namespace.approvals.items() if it.run != run}
    namespace.tickets = {key: it for key, it in namespace.tickets.items() if key[0] != run}
    namespace.keys = {id: key for id, key in namespace.keys.items() if key.subject != f"run:{run}"}
    budgets.forget(namespace, run)
