"""How much there is of what."""

from collections import Counter
from collections.abc import Sequence

from stepwell_storage.memory.database import Database
from stepwell_storage.memory.queues import MemoryQueues
from stepwell_storage.records import Census, QueueLoad


class MemoryCounts:
    """The counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, statuses: Sequence[str]) -> Census:
        queues = MemoryQueues(self._database)
        runs: Counter[str] = Counter()
        letters, loads = 0, list[tuple[str, QueueLoad]]()
        for namespace, kept in sorted(self._database.items()):
            runs.update(run.row.status for run in kept.runs.values())
            letters += len(kept.letters)
            loads += ((namespace, load) for load in await queues.list(namespace))
        return Census({status: runs[status] for status in statuses}, letters, tuple(loads))
