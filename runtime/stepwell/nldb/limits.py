"""How much of a datasource one call may take, and bring back."""

from datetime import timedelta

from msgspec import Struct

from stepwell.errors import Code
from stepwell.tools.port import ToolFailed


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of one query. What is cut off is always said."""

    timeout: timedelta = timedelta(seconds=10)
    rows: int = 1000
    size: int = 1024 * 1024
    """Bytes of all rows, as JSON."""
    cell: int = 4096
    """Characters of one value."""
    memory: int = 160 * 1024 * 1024
    """Bytes that the database engine may allocate; PostgreSQL may use a part of it before it
    turns to its disk."""
    cost: float = 0
    """What a plan may cost on PostgreSQL, by its own estimate; 0 is as much as it likes."""
    plan_rows: int = 0
    """The rows that a plan may expect; 0 is as many as it likes."""


def timed_out(limits: Limits) -> ToolFailed:
    """The error of a query that took too long."""
    return ToolFailed(
        f"the query did not end within {limits.timeout.total_seconds():g} s and was stopped; "
        "read fewer rows, join on keys, or aggregate less at once",
        code=Code.TOOL_TIMEOUT,
    )


def refused(rule: str, what: str, hint: str = "") -> ToolFailed:
    """The error of a statement that may not run, by a rule such as `sql.write`."""
    advice = f"; {hint}" if hint else ""
    return ToolFailed(
        f"the query is refused: {what} (rule {rule}){advice}",
        code=Code.QUERY_REFUSED,
        retryable=False,
        detail={"rule": rule},
    )


def failed(what: str, *, retryable: bool = False) -> ToolFailed:
    """The error of a statement that the database could not run; `what` quotes no value."""
    return ToolFailed(f"the query failed: {what}", code=Code.QUERY_FAILED, retryable=retryable)
