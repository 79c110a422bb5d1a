"""Values of a row as JSON that loses nothing: what was read can be written back.

NULL, whole numbers, finite numbers with a fraction, texts and truth values are themselves; bytes
are `{"bytes": HEX}`, and a number without an end is `{"float": "inf"}`.
"""

import math
from collections.abc import Mapping
from typing import Any

from stepwell.engine.values import Json


def to_json(value: Any) -> Json:
    """A value of SQLite as JSON."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def from_json(cell: Json) -> Any:
    """What `to_json` was given."""
    if not isinstance(cell, Mapping):
        return cell
    if "bytes" in cell:
        return bytes.fromhex(cell["bytes"])
    return float(cell["float"])


def shown(cell: Json) -> str:
    """A cell as a person reads it."""
    match cell:
        case None:
            return "NULL"
        case bool():
            return "true" if cell else "false"
        case {"bytes": data}:
            return f"x'{data}'"
        case {"float": number}:
            return str(number)
        case _:
            return str(cell)
