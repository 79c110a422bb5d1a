"""The shapes of which the authoring format is made: each one checks, and describes itself.

`read` turns a value of a document into what the compiler works on and reports what is wrong
with it; `schema` is the same rule as JSON Schema, for editors. Both stand side by side in one
class, so that they cannot tell different stories. `read` returns UNSET for what cannot be
used, and never less than the rest. Here are the scalars; `times` has those
that are about time, `containers` lists and maps.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import UNSET

from stepwell.definitions.problems import Path, shown
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json


class Shape(Protocol):
    """What a value may be."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The value for the compiler; UNSET, with a problem in the report, when it is wrong."""
        ...

    def schema(self) -> dict[str, Any]:
        """The same rule as JSON Schema."""
        ...


def kind_of(value: Json) -> str:
    """What a value is, as its author would call it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {shown(value)}"
        case list():
            return "a list"
        case _:
            return "a map"


def refuse(value: Json, path: Path, sheet: Sheet, wanted: str, hint: str = "") -> Json:
    """Notes that a value is not what it must be; UNSET."""
    if value is not UNSET:  # what could not be read is in the report already
        sheet.wrong(path, f"this must be {wanted}, it is {kind_of(value)}", hint)
    return UNSET


class Text:
    """A string, literal: expressions are not evaluated here. `what` names it in messages."""

    def __init__(
        self,
        what: str,
        *,
        pattern: str = "",
        reserved: frozenset[str] = frozenset(),
        instead: str = "choose another one",
    ) -> None:
        """`instead` is what to do instead of using a reserved name."""
        self._what, self._pattern = what, pattern
        self._reserved, self._instead = reserved, instead

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The string."""
        if not isinstance(value, str):
            hint = f'write "{value}"' if isinstance(value, bool | int | float) else ""
            return refuse(value, path, sheet, self._what, hint)
        if trouble := self.trouble(value):
            sheet.wrong(path, *trouble)
            return UNSET
        return value

    def trouble(self, value: str) -> tuple[str, str] | None:
        """What is wrong with a string, and what would be right."""
        if value.startswith("="):
            return "this cannot be an expression", "write what it shall be, literally"
        if value in self._reserved:
            return f"the name {shown(value)} is reserved", self._instead
        if self._pattern and not re.fullmatch(self._pattern, value):
            return f"this must be {self._what}, it is {kind_of(value)}", ""
        return None

    def schema(self) -> dict[str, Any]:
        """A string with its pattern."""
        schema: dict[str, Any] = {"type": "string", "pattern": self._pattern or "^(?!=)"}
        if self._reserved:
            schema["not"] = {"enum": sorted(self._reserved)}
        return schema


class Number:
    """A number between two bounds, whole unless `fractions` are allowed."""

    def __init__(self, low: int, high: int, *, fractions: bool = False) -> None:
        self._low, self._high, self._fractions = low, high, fractions

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The number."""
        types = (int, float) if self._fractions else (int,)
        is_number = isinstance(value, types) and not isinstance(value, bool)
        if is_number and self._low <= value <= self._high:
            return value
        what = "a number" if self._fractions else "a whole number"
        return refuse(value, path, sheet, f"{what} from {self._low} to {self._high}")

    def schema(self) -> dict[str, Any]:
        """A number with its bounds."""
        kind = "number" if self._fractions else "integer"
        return {"type": kind, "minimum": self._low, "maximum": self._high}


class Flag:
    """`true` or `false`."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The flag."""
        if isinstance(value, bool):
            return value
        near = {"yes": "true", "on": "true", "no": "false", "off": "false"}
        word = near.get(value.lower()) if isinstance(value, str) else None
        hint = f"write {word}" if word else ""
        return refuse(value, path, sheet, "true or false", hint)

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


class OneOf:
    """One of a few words. `hint` says what is meant by whoever wants another one."""

    def __init__(self, words: Sequence[str], hint: str) -> None:
        self._words, self._hint = words, hint

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The word."""
        if value in self._words:
            return value
        return refuse(value, path, sheet, " or ".join(self._words), self._hint)

    def schema(self) -> dict[str, Any]:
        """A list of strings."""
        return {"enum": list(self._words)}


class Condition:
    """A CEL expression that is true or false; the compiler compiles it."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The text, with its `=`."""
        if isinstance(value, str) and value.startswith("="):
            return value
        hint = f'write "={value}"' if isinstance(value, str) and len(value) <= 60 else ""
        return refuse(value, path, sheet, "a condition: a string that begins with =", hint)

    def schema(self) -> dict[str, Any]:
        """A string that begins with `=`."""
        return {"type": "string", "pattern": "^="}


class Anything:
    """Any JSON; strings in it that begin with `=` are expressions, which the compiler compiles."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The value, as it is."""
        return value

    def schema(self) -> dict[str, Any]:
        """No rule."""
        return {}


class Something:
    """Any JSON but nothing (null, or text without a letter). `what` names it in messages."""

    def __init__(self, what: str) -> None:
        self._what = what

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The value, as it is."""
        is_nothing = value is None or (isinstance(value, str) and not value.strip())
        return refuse(value, path, sheet, self._what) if is_nothing else value

    def schema(self) -> dict[str, Any]:
        """Not null."""
        return {"not": {"enum": [None, ""]}}


class OrExpression:
    """An expression, or a literal of some shape; either way as it was written."""

    def __init__(self, literal: Shape) -> None:
        self._literal = literal

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The value, as it is."""
        if isinstance(value, str) and value.startswith("="):
            return value
        return UNSET if self._literal.read(value, path, sheet) is UNSET else value

    def schema(self) -> dict[str, Any]:
        """Either of the two."""
        return {"anyOf": [Condition().schema(), self._literal.schema()]}
