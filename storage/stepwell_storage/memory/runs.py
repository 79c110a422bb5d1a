"""The list of runs."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from stepwell_storage.errors import Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import Condition, RunRow

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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
        where: Sequence[Condition] = (),
    ) -> list[RunRow]:
        rows = [
            kept.row
            for kept in self._database[namespace].runs.values()
            if (before is None or (kept.row.created_at, kept.row.run) < before)
            and all(_holds(condition, kept.row) for condition in where)
        ]
        rows.sort(key=lambda row: (row.created_at, row.run), reverse=True)
        return rows[:limit]


def _holds(condition: Condition, row: RunRow) -> bool:
    label = condition.label
    found = getattr(row, condition.field) if label is None else row.labels.get(label)
    if found is None:
        return condition.operator == "!="
    return any(_COMPARE[condition.operator](found, value) for value in condition.values)
