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
    text: int = 20_000
    """Characters of the SQL."""
    memory: int = 192 * 1024 * 1024
    """Bytes that the database engine may allocate."""


def timed_out(limits: Limits) -> ToolFailed:
    """The error of a query that took too long."""
    return ToolFailed(
        f"the query did not end within {limits.timeout.total_seconds():g} s and was stopped; "
        "read fewer rows, join on keys, or aggregate less at once",
        code=Code.TOOL_TIMEOUT,
    )
