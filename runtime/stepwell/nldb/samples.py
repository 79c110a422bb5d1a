"""The values that a text column has, for linking words of a question to them.

They are asked for as any query of the asker is: the guard rebuilds it, so a masked column has
none, and rows that are hidden do not count.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct

from stepwell.nldb.databases import View
from stepwell.nldb.guard import check_read
from stepwell.nldb.guard.dialects import quoted
from stepwell.nldb.limits import Limits

MOST_VALUES: Final = 200
MOST_ROWS: Final = 10_000
"""Rows of a table that are looked at: a sample, not a scan."""

_LIMITS: Final = Limits(timeout=timedelta(seconds=2), cell=200)


class Sampled(Struct, frozen=True):
    """Distinct values with the number of rows that have them, the most frequent first.

    `complete` when these are all that there are.
    """

    table: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], int], ...]
    complete: bool


async def sample(view: View, table: str, columns: Sequence[str]) -> Sampled:
    """The values of some columns of a table together, by their names in the catalog.

    Raises:
        Refused: the asker may not see one of them as it is.
        SchemaMoved: the schema is another one now.
        ToolFailed: QUERY_FAILED or TOOL_TIMEOUT.
    """
    known = view.catalog.tables[table]
    source = f"{quoted(known.schema)}.{quoted(known.bare)}" if known.schema else quoted(known.bare)
    names = [quoted(column) for column in columns]
    listed, filled = ", ".join(names), " AND ".join(f"{name} IS NOT NULL" for name in names)
    sql = (
        f"SELECT {listed}, count(*) AS stepwell_count "  # noqa: S608
        f"FROM (SELECT {listed} FROM {source} LIMIT {MOST_ROWS + 1}) AS sampled "
        f"WHERE {filled} GROUP BY {listed} ORDER BY stepwell_count DESC, {listed} "
        f"LIMIT {MOST_VALUES + 1}"
    )
    checked = check_read(sql, view.catalog, view.access)
    found = await view.database.read(checked, view.access, _LIMITS, stamp=view.stamp)
    counted = [(tuple(map(str, row[:-1])), int(row[-1])) for row in found.rows]
    looked_at = sum(count for _, count in counted)
    return Sampled(
        table=table,
        columns=tuple(columns),
        rows=tuple(counted[:MOST_VALUES]),
        complete=len(counted) <= MOST_VALUES and looked_at <= MOST_ROWS and not found.truncated,
    )
