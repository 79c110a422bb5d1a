"""How much there is of what."""

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa

from stepwell_storage.records import Census
from stepwell_storage.sql.queues import LOADS_OF_ALL, load_of
from stepwell_storage.sql.reader import Reader
from stepwell_storage.sql.tables import letters, log_heads, runs

_LETTERS = sa.select(sa.func.count()).select_from(letters)


class SqlCounts:
    """The counts."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def take(self, statuses: Sequence[str]) -> Census:
        numbers = [0] * len(statuses)
        for row in await self._reader.rows(_runs(tuple(statuses))) if statuses else ():
            numbers = list(map(sum, zip(numbers, row, strict=True)))
        [(waiting,)] = await self._reader.rows(_LETTERS)
        queues = await self._reader.rows(LOADS_OF_ALL)
        return Census(
            runs=dict(zip(statuses, numbers, strict=True)),
            letters=waiting,
            queues=tuple((namespace, load_of(row)) for namespace, *row in queues),
        )


@cache
def _runs(statuses: tuple[str, ...]) -> sa.Executable:
    """How many runs have each status, one row for each namespace.

    Every namespace that has runs has a head. Said as one question a status, because only then no
    database gets the idea of going through all runs.
    """
    return sa.select(
        *(
            sa.select(sa.func.count())
            .select_from(runs)
            .where(runs.c.namespace == log_heads.c.namespace, runs.c.status == status)
            .scalar_subquery()
            for status in statuses
        )
    ).select_from(log_heads)
