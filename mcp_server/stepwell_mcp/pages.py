"""Pages of a list that has an order of its own, behind cursors that say where the last one ended."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from stepwell.errors import Code, InvalidRequest

PAGE_SIZE: Final = 100

T = TypeVar("T")


def page_of(
    offers: Sequence[T], cursor: str | None, *, key: Callable[[T], str]
) -> tuple[list[T], str | None]:
    """One page of a list that is sorted by `key`, and the cursor of the next; None after the last.

    Raises:
        InvalidRequest: INVALID_CURSOR, the cursor is not one that a page gave.
    """
    last = read_cursor(cursor) if cursor else None
    rest = [offer for offer in offers if last is None or key(offer) > last]
    shown = rest[:PAGE_SIZE]
    return shown, cursor_of(key(shown[-1])) if len(rest) > PAGE_SIZE else None


def cursor_of(last: str) -> str:
    """The cursor of what comes after this."""
    return base64.urlsafe_b64encode(msgspec.json.encode([1, last])).decode()


def read_cursor(cursor: str) -> str:
    """What a cursor comes after.

    Raises:
        InvalidRequest: INVALID_CURSOR, it is none.
    """
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=tuple[int, str])[1]
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise InvalidRequest(
            "the cursor is not one that this list gave; begin again without a cursor",
            code=Code.INVALID_CURSOR,
        ) from error
