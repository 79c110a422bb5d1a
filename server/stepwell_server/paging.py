"""Pages of lists: bounded in number and in bytes, resumed by an opaque token."""

import base64
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from stepwell.errors import Code, InvalidRequest
from stepwell_server.translate import PAYLOAD_BYTES

DEFAULT_SIZE = 50
MAX_SIZE = 1000


class Named(Protocol):
    """A row that goes by a name of its own."""

    @property
    def name(self) -> str:
        """The name."""
        ...


_Row = TypeVar("_Row")
_Named = TypeVar("_Named", bound=Named)
_Message = TypeVar("_Message", bound=Message)


def page_size(asked: int, *, default: int = DEFAULT_SIZE) -> int:
    """The size that a request means: 0 is the default, and too much is the most there is."""
    return min(asked or default, MAX_SIZE)


def fitting(messages: Sequence[Message]) -> int:
    """How many of these, from the first on, fit into one message; at least one if there is one."""
    room = PAYLOAD_BYTES
    for count, message in enumerate(messages):
        room -= message.ByteSize()
        if room < 0:
            return max(count, 1)
    return len(messages)


def cut(rows: Sequence[_Row], translate: Callable[[_Row], _Message], size: int) -> list[_Message]:
    """The first `size` rows as messages, fewer when they would not fit into one message."""
    messages = [translate(row) for row in rows[: page_size(size)]]
    return messages[: fitting(messages)]


def named(
    rows: Sequence[_Named], translate: Callable[[_Named], _Message], *, size: int, after: str
) -> tuple[list[_Message], str]:
    """A page of rows that are listed by name, after the token `after`; and the token of the next.

    Raises:
        InvalidRequest: INVALID_CURSOR, the token is none of ours.
    """
    last = place(after)
    left = [row for row in rows if row.name > last]
    page = cut(left, translate, size)
    more = len(page) < len(left)
    return page, token(left[len(page) - 1].name) if more else ""


def numbered(
    rows: Sequence[_Row], translate: Callable[[_Row], _Message], *, size: int, begin: int
) -> tuple[list[_Message], str]:
    """A page of rows that are only ever added at the end, from number `begin` on; and the next token."""
    page = cut(rows[begin:], translate, size)
    end = begin + len(page)
    return page, token(str(end)) if end < len(rows) else ""


def number(token: str) -> int:
    """Where a page of a list begins whose rows are only ever added at the end.

    Raises:
        InvalidRequest: INVALID_CURSOR, the token is none of this list.
    """
    at = place(token)
    if at and not (at.isascii() and at.isdigit()):
        raise InvalidRequest(
            "the page token belongs to another list; leave it out to begin at the first page",
            code=Code.INVALID_CURSOR,
        )
    return int(at or 0)


def token(place: str) -> str:
    """The page token for what follows `place`."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place(token: str) -> str:
    """What a page token was made from; "" for the first page.

    Raises:
        InvalidRequest: INVALID_CURSOR, the token is none of ours.
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError as error:  # not base64, not ASCII, not UTF-8
        raise InvalidRequest(
            "this is not a page token of ours; pass next_page_token back exactly as it was "
            "given, or leave it out to begin at the first page",
            code=Code.INVALID_CURSOR,
        ) from error
