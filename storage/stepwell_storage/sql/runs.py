"""The list of runs."""

from typing import Any

import msgspec
import sqlalchemy as sa

from stepwell_storage.errors import Missing
from stepwell_storage.records import RunRow
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
        status: str | None = None,
        workflow: str | None = None,
    ) -> list[RunRow]:
        wanted = sa.select(runs).where(runs.c.namespace == namespace)
        if status is not None:
            wanted = wanted.where(runs.c.status == status)
        if workflow is not None:
            wanted = wanted.where(runs.c.workflow == workflow)
        if before is not None:
            at, run = before
            older = sa.tuple_(runs.c.created_at, runs.c.run) < sa.tuple_(
                sa.literal(at), sa.literal(packed_or_none(run), sa.LargeBinary)
            )
            wanted = wanted.where(older)
        newest = wanted.order_by(runs.c.created_at.desc(), runs.c.run.desc()).limit(limit)
        return [_row(row) for row in await self._reader.rows(newest)]


def _row(row: tuple[Any, ...]) -> RunRow:
    values = dict(zip(runs.c.keys(), row, strict=True))
    values["run"] = unpacked(values["run"])
    values["labels"] = msgspec.json.decode(values["labels"], type=dict[str, str])
    return RunRow(**values)
