"""The values that a question may name, sampled as whoever asks sees them.

Each sample is a statement that passes the guard like any other: what is masked or filtered for the
asker is so in his samples too.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from stepwell.errors import StepwellError
from stepwell.nldb.databases import Databases
from stepwell.nldb.limits import Limits
from stepwell.nldb.link.values import Sample, Wanted, to_sample
from stepwell.nldb.model import Access, Catalog, Table
from stepwell.quoting import quoted
from stepwell.tools.port import CallContext

MOST_VALUES: Final = 10_000
"""Distinct values of a column; one with more has the first of them, and is not complete."""
MOST_ROWS: Final = 100_000
"""Rows of a table that are looked at: a sample, not a scan."""
MOST_COLUMNS: Final = 300
"""Of a larger schema only the tables are sampled that a question may be about."""
_AT_ONCE: Final = 4
_LIMITS: Final = Limits(
    timeout=timedelta(seconds=2), rows=MOST_VALUES, size=4 * 1024 * 1024, cell=200
)


def wanted_of(catalog: Catalog, access: Access, tables: Iterable[str] | None) -> list[Wanted]:
    """The columns to sample, of these tables or of all."""
    chosen = None if tables is None else set(tables)
    return [one for one in to_sample(catalog, access) if chosen is None or one.table in chosen]


async def sampled(
    databases: Databases,
    context: CallContext,
    datasource: str,
    catalog: Catalog,
    wanted: Sequence[Wanted],
) -> tuple[Sample, ...]:
    """The distinct values of columns; without those that cannot be read in time."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def sample(one: Wanted) -> Sample | None:
        async with places:
            try:
                _, rows = await databases.read(
                    context, datasource, _sql(one, catalog), limits=_LIMITS, is_answer=False
                )
            except StepwellError:
                return None  # nothing is known of its values: no word can mean one
        found = tuple((tuple(map(str, row[:-1])), int(row[-1])) for row in rows.rows)
        looked_at = sum(count for _, count in found)
        is_complete = not rows.truncated and looked_at < MOST_ROWS
        return Sample(one.table, one.columns, found, is_complete)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sample(one)) for one in wanted]
    return tuple(found for task in tasks if (found := task.result()) is not None)


def _sql(wanted: Wanted, catalog: Catalog) -> str:
    columns = ", ".join(map(quoted, wanted.columns))
    given = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in wanted.columns)
    return (
        f"SELECT {columns}, COUNT(*) FROM (SELECT {columns} "  # noqa: S608
        f"FROM {_table(catalog.tables[wanted.table])} WHERE {given} LIMIT {MOST_ROWS}) AS looked_at "
        f"GROUP BY {columns}"
    )


def _table(table: Table) -> str:
    bare = quoted(table.bare)
    return bare if table.bare == table.name else f"{quoted(table.schema)}.{bare}"
