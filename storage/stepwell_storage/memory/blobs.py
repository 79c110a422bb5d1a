"""Content that events name by its digest."""

from collections.abc import Sequence

from stepwell_storage.memory.database import Database
from stepwell_storage.records import Blob


class MemoryBlobs:
    """The blobs of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, namespace: str, run: str, digests: Sequence[str]) -> dict[str, Blob]:
        kept = self._database[namespace].runs.get(run)
        found = {} if kept is None else kept.blobs
        return {digest: found[digest] for digest in digests if digest in found}
