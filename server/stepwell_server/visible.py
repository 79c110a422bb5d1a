"""Texts of others, shown so that nothing in them is hidden, and nothing of them acts."""

import msgspec

from stepwell.engine.values import Json


def visible(text: str) -> str:
    """The text with whatever cannot be seen, or turns others around, written as its number.

    Line breaks stay. A terminal would obey control characters, and a page would show the text in
    another order than the tool reads it.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def visible_line(text: str) -> str:
    """The same, on one line."""
    return visible(text).replace("\n", "\\n")


def pretty(value: Json) -> str:
    """A JSON value with its keys in order, indented; nothing in it is hidden."""
    plain = msgspec.json.encode(value, order="deterministic")
    return visible(msgspec.json.format(plain, indent=2).decode())


def _visible(char: str) -> str:
    if char.isprintable() or char == "\n":
        return char
    number = ord(char)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
