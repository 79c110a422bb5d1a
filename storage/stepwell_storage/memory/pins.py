"""What tools said of themselves when they were pinned."""

from collections.abc import Sequence

from stepwell_storage.errors import Conflict, Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import PinRow


class MemoryPins:
    """The pins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, namespace: str, rows: Sequence[PinRow]) -> None:
        for row in rows:
            self._database[namespace].pins.setdefault(row.tool, row)

    async def replace(self, namespace: str, row: PinRow, *, was: str) -> None:
        if (await self.get(namespace, row.tool)).definition != was:
            raise Conflict(f"The pin of {row.tool!r} has changed.")
        self._database[namespace].pins[row.tool] = row

    async def get(self, namespace: str, tool: str) -> PinRow:
        row = self._database[namespace].pins.get(tool)
        if row is None:
            raise Missing(f"There is no pin of {tool!r}.")
        return row

    async def list(self, namespace: str) -> list[PinRow]:
        kept = self._database[namespace].pins
        return [kept[tool] for tool in sorted(kept)]
