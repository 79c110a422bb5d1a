"""What is run again and again."""

from collections.abc import Iterator

from msgspec.structs import replace

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import ScheduleRow


class MemorySchedules:
    """The schedules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, namespace: str, row: ScheduleRow) -> bool:
        kept = self._database[namespace].schedules
        is_new = row.name not in kept
        kept[row.name] = row
        return is_new

    async def get(self, namespace: str, name: str) -> ScheduleRow:
        row = self._database[namespace].schedules.get(name)
        if row is None:
            raise Missing(f"There is no schedule {name!r}.")
        return row

    async def remove(self, namespace: str, name: str) -> None:
        if self._database[namespace].schedules.pop(name, None) is None:
            raise Missing(f"There is no schedule {name!r}.")

    async def due(self, *, now: int, limit: int) -> list[tuple[str, ScheduleRow]]:
        found = [(at, namespace, row) for at, namespace, row in self._timed() if at <= now]
        found.sort(key=lambda it: (it[0], it[1], it[2].name))
        return [(namespace, row) for _, namespace, row in found[:limit]]

    async def advance(self, namespace: str, row: ScheduleRow, *, from_at: int) -> bool:
        kept = self._database[namespace].schedules
        found = kept.get(row.name)
        if found is None or found.next_at != from_at:
            return False
        kept[row.name] = replace(
            found, next_at=row.next_at, last_at=row.last_at, last_run=row.last_run
        )
        return True

    async def next_due(self) -> int | None:
        return min((at for at, _, _ in self._timed()), default=None)

    async def list(self, namespace: str) -> list[ScheduleRow]:
        kept = self._database[namespace].schedules
        return [kept[name] for name in sorted(kept)]

    def _timed(self) -> Iterator[tuple[int, str, ScheduleRow]]:
        """Those that will fire, with their namespace and the time."""
        for namespace, kept in self._database.items():
            for row in kept.schedules.values():
                if row.next_at is not None and not row.paused:
                    yield row.next_at, namespace, row
