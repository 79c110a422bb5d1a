"""What is said between the daemon and a child process: length-prefixed JSON on two pipes.

The daemon sends one `Opening`, then `Call`s, one at a time. The child answers each with
`Begun` when the function is imported and about to run, then with `Returned` or `Raised`; each
repeats the number of its call, so that no answer can be taken for that of another call.
"""

import struct
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

import msgspec
from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.errors import Code
from stepwell.tools.modules import Source
from stepwell.tools.port import CallContext

MAX_FRAME = 64 * 1024 * 1024
"""Bytes that one message may have: arguments, or a result."""

DECLARATION = "__stepwell_tool__"
"""The attribute in which `@tool` leaves its declaration on a function."""

HEADER = struct.Struct("!I")


class Opening(Struct, frozen=True):
    """The import path of the parent."""

    path: list[str]


class Call(Struct, frozen=True):
    """Call a function with these keyword arguments; no two calls have the same number.

    A function that is decorated with `@tool` is given what its declaration makes of the
    arguments and the context.
    """

    number: int
    source: Source
    name: str
    arguments: dict[str, Json]
    context: CallContext | None = None


class Begun(Struct, frozen=True, tag="begun"):
    """The function is imported and runs from now on."""

    number: int


class Returned(Struct, frozen=True, tag="returned"):
    """The function came back; in the child `value` is what it returned, here it is JSON."""

    number: int
    value: Any


class Raised(Struct, frozen=True, tag="raised"):
    """The function did not come back. `trace` is for the log only."""

    number: int
    code: Code
    message: str
    retryable: bool = False
    detail: dict[str, str] = {}
    trace: str = ""


Reply: TypeAlias = Begun | Returned | Raised

encode = msgspec.json.Encoder().encode
decode_call = msgspec.json.Decoder(Call).decode
decode_opening = msgspec.json.Decoder(Opening).decode
decode_reply: Callable[[bytes], Reply] = msgspec.json.Decoder(Reply).decode


def write(stream: BinaryIO, body: bytes) -> None:
    """Writes one message and flushes it."""
    stream.write(HEADER.pack(len(body)) + body)
    stream.flush()


def read(stream: BinaryIO) -> bytes | None:
    """The next message, or None when the other side is gone."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (size,) = HEADER.unpack(header)
    body = stream.read(size)
    return body if len(body) == size else None
