"""The list of runs."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from stepwell_storage.errors import Missing
from stepwell_storage.records import Condition, RunRow
from stepwell_storage.sql.conditions import Wanted
from stepwell_storage.sql.ids import packed_or_none, unpacked
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.tables import runs

_ONE = sa.select(runs).where(
    runs.c.namespace == sa.bindparam("namespace"), runs.c.run == sa.bindparam("run")
)


class SqlRuns:
    """The list of runs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def get(self, namespace: str, run: str) -> RunRow:
        rows = await self._reader.rows(_ONE, namespace=namespace, run=packed_or_none(run))
        if not rows:
            raise Missing(f"There is no run {run}.")
        return _row(rows[0])

    async def list(
        self,
        namespace: str,
        *,
        limit: int,
        before: tuple[int, str] | None = None,
        where: Sequence[Condition] = (),
    ) -> list[RunRow]:
        wanted = Wanted(where)
        newest = wanted.newest.where(runs.c.namespace == namespace).limit(limit)
        if before is not None:
            newest = newest.where(wanted.is_before(*before))
        return [_row(row) for row in await self._reader.rows(newest)]


def _row(row: tuple[Any, ...]) -> RunRow:
    values = dict(zip(runs.c.keys(), row, strict=True))
    values["run"] = unpacked(values["run"])
    for reference in ("parent", "forked_from"):
        if values[reference] is not None:
            values[reference] = unpacked(values[reference])
    values["labels"] = msgspec.json.decode(values["labels"], type=dict[str, str])
    return RunRow(**values)
