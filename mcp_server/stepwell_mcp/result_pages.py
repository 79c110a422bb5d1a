"""The output of a run in parts, for clients that cannot take all of it at once.

A list comes in whole items. Whatever else is too long comes as the text of its JSON, or as it is where it
is a text, so that all parts one after another are all of it.
"""

import re
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest

_CURSOR: Final = re.compile(r"(item|text)-([0-9]{1,12})")
MOST_NAMED: Final = 20
"""Names of parts that a refusal tells."""

_TYPES: Final = ("object", "array", "string", "number", "boolean", "null")
AnyJson: TypeAlias = Annotated[
    Any, Meta(extra_json_schema={"anyOf": [{"type": name} for name in _TYPES]})
]
"""Any JSON. Its schema lists the types one by one: some clients refuse a schema that says nothing, and a
list of types in one `type`.
"""


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`value` where that is all; else `items` of a list, or `text` of it, from `first` on.

    `total` is how many items, or characters, there are in all. `cursor` continues; the last part has none.
    """

    value: AnyJson = UNSET
    items: list[Any] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    first: int = 0
    total: int = 0
    cursor: str = ""


def part_of(value: Json, *, cursor: str = "", most: int) -> Part:
    """The part of a value that a cursor names, "" is the first; at most about `most` characters.

    Raises:
        InvalidRequest: INVALID_CURSOR, it is none that a part of this value gave.
    """
    kind, first = _read(cursor)
    if not kind and _length(value) <= most:
        return Part(value=value)
    if kind == "item" and not isinstance(value, list):
        raise _no_cursor()
    # One item that is too long makes all of it a text; who has begun with items goes on with them.
    if isinstance(value, list) and kind != "text" and (kind or _all_fit(value, most)):
        return _items(value, first, most)
    return _text(value, first, most)


def at(value: Json, pointer: str) -> Json:
    """What a JSON Pointer (RFC 6901) names in a value; "" is all of it.

    Raises:
        InvalidRequest: INVALID_ARGUMENTS, there is nothing there.
    """
    found, done = value, ""
    for token in pointer.split("/")[1:] if pointer else ():
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise InvalidRequest(
                f"the output has nothing at {done}/{token}; {_there(found)}",
                code=Code.INVALID_ARGUMENTS,
            )
        done = f"{done}/{token}"
    return found


def _items(value: list[Any], first: int, most: int) -> Part:
    """As many whole items as there is room for, and at least one."""
    if first >= len(value):
        raise _no_cursor()
    room, after = most - _size(value[first]), first + 1
    while after < len(value) and (room := room - _size(value[after]) - 1) >= 0:
        after += 1
    return Part(
        items=value[first:after],
        first=first,
        total=len(value),
        cursor=f"item-{after}" if after < len(value) else "",
    )


def _all_fit(value: list[Any], most: int) -> bool:
    return all(_size(item) <= most for item in value)


def _text(value: Json, first: int, most: int) -> Part:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if first >= len(text):
        raise _no_cursor()
    after = first + most
    return Part(
        text=text[first:after],
        first=first,
        total=len(text),
        cursor=f"text-{after}" if after < len(text) else "",
    )


def _read(cursor: str) -> tuple[str, int]:
    if not cursor:
        return "", 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise _no_cursor()
    return found[1], int(found[2])


def _no_cursor() -> InvalidRequest:
    return InvalidRequest(
        "the cursor is none that a part of this output gave; begin again without a cursor",
        code=Code.INVALID_CURSOR,
    )


def _length(value: Json) -> int:
    return len(value) if isinstance(value, str) else _size(value)


def _size(item: Json) -> int:
    return len(msgspec.json.encode(item))


def _there(found: Json) -> str:
    """What there is instead, for whoever looked in the wrong place."""
    if isinstance(found, list):
        return f"there is a list of {len(found)} items"
    if isinstance(found, dict):
        names = ", ".join(list(found)[:MOST_NAMED])
        return f"there is {names}" if names else "there is an empty object"
    return "there is a single value"
