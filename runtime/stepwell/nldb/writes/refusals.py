"""Why a change is not made, as a tool tells it. No text has a value in it."""

from stepwell.errors import Code
from stepwell.tools.port import ToolFailed


def refused(rule: str, what: str, hint: str) -> ToolFailed:
    """A change that may not be made; nothing was written."""
    return ToolFailed(
        f"the change is refused: {what} (rule {rule}); {hint}",
        code=Code.QUERY_REFUSED,
        retryable=False,
        detail={"rule": rule},
    )


def stale(what: str) -> ToolFailed:
    """What was shown is not what would be done any more."""
    return ToolFailed(
        f"{what} since the preview, so nothing was written; preview it again, and look at what "
        "it shows now",
        code=Code.PREVIEW_STALE,
        retryable=False,
    )


def gone(what: str, name: str) -> ToolFailed:
    """There is no such preview, or it is somebody else's."""
    return ToolFailed(
        f"there is no {what} {name!r} of yours; db_preview_write answers the name of its preview",
        code=Code.PREVIEW_NOT_FOUND,
        retryable=False,
    )


def too_many(most: int) -> ToolFailed:
    """It meets more rows than a person can look at."""
    return refused(
        "write.rows",
        f"it would change more than {most} rows",
        "narrow the WHERE, and change them in several parts",
    )
