"""Digests of rows, keyed: whoever knows all of a row but one value cannot try for that one."""

import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from stepwell.engine.values import Json

_encode = msgspec.json.Encoder(order="sorted").encode


def digest(salt: str, *parts: object) -> str:
    """64 hexadecimal digits that stand for these values."""
    return hmac.new(salt.encode(), _encode(parts), hashlib.sha256).hexdigest()


def place_of(key: Sequence[Json]) -> list[tuple[int, float, str]]:
    """Where a key stands among others: numbers by their value, the rest as it is written."""
    return [
        (0, cell, "") if isinstance(cell, int | float) else (1, 0, _encode(cell).decode())
        for cell in key
    ]
