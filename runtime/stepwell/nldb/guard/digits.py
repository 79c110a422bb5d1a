"""How many digits a column's values have after the point."""

import re
from typing import Final

from stepwell.nldb.model import Column

UNSCALED: Final = -1
"""A decimal of which the catalog does not say how many digits it has."""
MOST_DIGITS: Final = 12
_SCALED: Final = re.compile(r"\(\s*\d+\s*,\s*(\d+)\s*\)")


def digits_of(column: Column) -> int | None:
    """The digits of a column's values; 0 of whole numbers, None of what is no exact number."""
    if column.kind == "integer":
        return 0
    if column.kind != "decimal":
        return None
    found = _SCALED.search(column.type)
    return min(int(found.group(1)), MOST_DIGITS) if found else UNSCALED
