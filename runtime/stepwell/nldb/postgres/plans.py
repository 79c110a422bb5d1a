"""Refuses what PostgreSQL expects to cost too much, before it runs.

What a plan expects says nothing of what a recursion or a long text costs: the timeout holds too.
"""

from typing import Any, Final

import psycopg

from stepwell.nldb.guard import Checked
from stepwell.nldb.limits import Limits, refused
from stepwell.nldb.postgres.connections import Connection

MOST_KEPT: Final = 1_000_000
"""Rows of which one value may be made, of values as long as they are in the tables: there is no
setting by which PostgreSQL would bound the memory for it."""


async def check(connection: Connection, checked: Checked, limits: Limits) -> None:
    """Asks for the plan, where the limits have a bound for it.

    Raises:
        ToolFailed: QUERY_REFUSED, it costs more, or expects more rows.
        psycopg.Error: it cannot be planned.
    """
    if not (limits.cost or limits.plan_rows or checked.kept):
        return
    plan = await planned(connection, checked)
    cost, rows = float(plan["Total Cost"]), _most_rows(plan)
    if checked.kept and _kept_rows(plan) * checked.kept > MOST_KEPT:
        raise refused(
            "sql.memory",
            "PostgreSQL expects it to gather very many rows in one place",
            "gather fewer rows, or shorter values",
        )
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
    plan = await planned(connection, checked)
    return float(plan["Total Cost"]), _most_rows(plan)


async def planned(connection: Connection, checked: Checked) -> dict[str, Any]:
    """How PostgreSQL would run it.

    Raises:
        psycopg.Error: it cannot be planned.
    """
    cursor = psycopg.AsyncRawCursor(connection)
    # A binary answer is only given to a single statement.
    asked = f"EXPLAIN (FORMAT JSON) {checked.sql}".encode()
    await cursor.execute(asked, checked.parameters or None, binary=True)
    row = await cursor.fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def _most_rows(plan: dict[str, Any]) -> int:
    parts = plan.get("Plans", [])
    return max(int(plan["Plan Rows"]), *map(_most_rows, parts), 0)


def _kept_rows(plan: dict[str, Any]) -> int:
    """The most rows that come together in one place: of an aggregate, or of a sub-query's array."""
    parts: list[dict[str, Any]] = plan.get("Plans", [])
    gathered = [int(part["Plan Rows"]) for part in parts if _is_gathered(plan, part)]
    return max([0, *gathered, *map(_kept_rows, parts)])


def _is_gathered(plan: dict[str, Any], part: dict[str, Any]) -> bool:
    is_fed = part.get("Parent Relationship") == "Outer"
    return not is_fed or plan["Node Type"] in ("Aggregate", "WindowAgg")
