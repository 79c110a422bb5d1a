"""Opaque places in lists and logs. A caller may keep one, and may not make one."""

import base64
import binascii
from typing import TypeVar

import msgspec
from msgspec import Struct

from stepwell.errors import Code, InvalidRequest

_Place = TypeVar("_Place", bound=Struct)


class _LogPlace(Struct, frozen=True, array_like=True):
    log: str
    position: int


class _RunPlace(Struct, frozen=True, array_like=True):
    filter: str
    created_at: int
    run: str


def log_cursor(log: str, position: int) -> str:
    """The cursor just after a position of the log named `log`."""
    return _pack(_LogPlace(log, position))


def log_position(cursor: str, log: str, last: int) -> int:
    """The position of a cursor; "" is the beginning.

    Raises:
        InvalidRequest: INVALID_CURSOR, it is none of ours; CURSOR_EXPIRED, it belongs to
            another log or lies beyond the end of this one.
    """
    if not cursor:
        return 0
    place = _unpack(cursor, _LogPlace)
    if place.log != log or not 0 <= place.position <= last:
        raise InvalidRequest(
            "the cursor does not belong to this log (the database was replaced, or restored from "
            "an older copy); read from the beginning, then follow the new cursors",
            code=Code.CURSOR_EXPIRED,
        )
    return place.position


def run_token(filter: str, created_at: int, run: str) -> str:
    """The page token after a run, good for the same filter only."""
    return _pack(_RunPlace(filter, created_at, run))


def run_place(token: str, filter: str) -> tuple[int, str] | None:
    """Where the page of a token begins; None for the first page.

    Raises:
        InvalidRequest: INVALID_CURSOR, it is none of ours, or the filter was another.
    """
    if not token:
        return None
    place = _unpack(token, _RunPlace)
    if place.filter != filter:
        raise InvalidRequest(
            "the page token belongs to a list with another filter; begin at the first page",
            code=Code.INVALID_CURSOR,
        )
    return place.created_at, place.run


def _pack(place: Struct) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def _unpack(cursor: str, kind: type[_Place]) -> _Place:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidRequest(
            "this is not a cursor or page token of ours; pass one back exactly as it was given, "
            "or leave it out to begin at the beginning",
            code=Code.INVALID_CURSOR,
        ) from error
