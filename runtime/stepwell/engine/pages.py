"""What a model is shown of a result that can be read in pages: the first one, and how to go on.

Such a result names itself (`result_id`), so that the rest of it can be asked for.
"""

from typing import Final

from stepwell.engine.values import Json

PAGE: Final = 50
"""Rows that a model is shown at once; whoever else reads the result has all of them."""


def first_page(value: Json) -> Json:
    """The value as a model reads it: the same, but for a result of more rows than a page has."""
    if not isinstance(value, dict) or not isinstance(value.get("result_id"), str):
        return value
    rows = value.get("rows")
    if not isinstance(rows, list) or len(rows) <= PAGE:
        return value
    return page_of(value, value["result_id"], offset=0, size=PAGE)


def page_of(value: dict[str, Json], result_id: str, *, offset: int, size: int) -> dict[str, Json]:
    """Some rows of a result; `truncated` tells that there are others after them."""
    rows = value["rows"]
    shown = rows[offset : offset + size]
    following = offset + len(shown)
    notes = list(value.get("notes", []))
    if following < len(rows):
        notes.append(
            f"rows {offset + 1} to {following} of {len(rows)} are shown; db_result with "
            f"result_id={result_id!r} and offset={following} shows the next"
        )
    return {
        **value,
        "rows": shown,
        "returned": len(shown),
        "truncated": bool(value.get("truncated")) or following < len(rows),
        "notes": notes,
    }
