"""Refuses what PostgreSQL expects to cost too much, before it runs.

What a plan expects says nothing of what a recursion or a long text costs: the timeout holds too.
"""

from typing import Any

import psycopg

from stepwell.nldb.guard import Checked
from stepwell.nldb.limits import Limits, refused
from stepwell.nldb.postgres.connections import Connection


async def check(connection: Connection, checked: Checked, limits: Limits) -> None:
    """Asks for the plan, where the limits have a bound for it.

    Raises:
        ToolFailed: QUERY_REFUSED, it costs more, or expects more rows.
        psycopg.Error: it cannot be planned.
    """
    if not (limits.cost or limits.plan_rows):
        return
    cost, rows = await expected(connection, checked)
    if limits.cost and cost > limits.cost:
        raise refused(
            "sql.cost",
            f"PostgreSQL expects it to cost {cost:.0f}, and {limits.cost:.0f} is the most",
            "narrow it with WHERE on indexed columns, or join on keys",
        )
    if limits.plan_rows and rows > limits.plan_rows:
        raise refused(
            "sql.rows",
            f"PostgreSQL expects it to handle {rows} rows at once, and {limits.plan_rows} is the most",
            "narrow it with WHERE, join on keys, or aggregate",
        )


async def expected(connection: Connection, checked: Checked) -> tuple[float, int]:
    """The cost of a statement, and the most rows that a part of its plan has."""
    cursor = psycopg.AsyncRawCursor(connection)
    # A binary answer is only given to a single statement.
    asked = f"EXPLAIN (FORMAT JSON) {checked.sql}".encode()
    await cursor.execute(asked, checked.parameters or None, binary=True)
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return float(plan["Total Cost"]), _most_rows(plan)


def _most_rows(plan: dict[str, Any]) -> int:
    parts = plan.get("Plans", [])
    return max(int(plan["Plan Rows"]), *map(_most_rows, parts), 0)
