"""The shapes of which the authoring format is made: each one checks, and describes itself.

`read` turns a value of a document into what the compiler works on and reports what is wrong
with it; `schema` is the same rule as JSON Schema, for editors. Both stand side by side in one
class, so that they cannot tell different stories. `read` returns UNSET for what cannot be
used, and never less than the rest.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from jsonschema import Draft202012Validator
from msgspec import UNSET

from stepwell.definitions.loader import Document
from stepwell.definitions.problems import START, Path, Place, Report, shown
from stepwell.engine.values import Json
from stepwell.errors import InvalidRequest
from stepwell.tools.schema import Schema


class Sheet:
    """A document under examination: what it says, and what is wrong with it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.report = Report(document.problems)

    def wrong(self, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem with the value at a path."""
        self.report.add(self.place(path), path, message, hint)

    def wrong_key(self, path: Path, message: str, hint: str = "") -> None:
        """Notes a problem with the key that ends a path."""
        self.report.add(self.document.keys.get(path, START), path, message, hint)

    def place(self, path: Path) -> Place:
        """Where a value stands."""
        return self.document.values.get(path, START)


class Shape(Protocol):
    """What a value may be."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The value for the compiler; UNSET, with a problem in the report, when it is wrong."""
        ...

    def schema(self) -> dict[str, Any]:
        """The same rule as JSON Schema."""
        ...


def _kind(value: Json) -> str:
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


def _refuse(value: Json, path: Path, sheet: Sheet, wanted: str, hint: str = "") -> Json:
    if value is not UNSET:  # what could not be read is in the report already
        sheet.wrong(path, f"this must be {wanted}, it is {_kind(value)}", hint)
    return UNSET


class Text:
    """A string, literal: expressions are not evaluated here. `what` names it in messages."""

    def __init__(
        self, what: str, *, pattern: str = "", reserved: frozenset[str] = frozenset()
    ) -> None:
        self._what, self._pattern, self._reserved = what, pattern, reserved

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The string."""
        if not isinstance(value, str):
            hint = f'write "{value}"' if isinstance(value, bool | int | float) else ""
            return _refuse(value, path, sheet, self._what, hint)
        if trouble := self.trouble(value):
            sheet.wrong(path, *trouble)
            return UNSET
        return value

    def trouble(self, value: str) -> tuple[str, str] | None:
        """What is wrong with a string, and what would be right."""
        if value.startswith("="):
            return "this cannot be an expression", "write what it shall be, literally"
        if value in self._reserved:
            return f"the name {shown(value)} is reserved", "choose another one"
        if self._pattern and not re.fullmatch(self._pattern, value):
            return f"this must be {self._what}, it is {_kind(value)}", ""
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
        return _refuse(value, path, sheet, f"{what} from {self._low} to {self._high}")

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
        return _refuse(value, path, sheet, "true or false", hint)

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


_DURATION = "^[0-9]{1,9}(ms|s|m|h)$"
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_LONGEST = 8760 * _UNITS["h"]


class Duration:
    """A time with its unit: `500ms`, `30s`, `5m`, `1h`. Read as microseconds."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The duration in microseconds."""
        wanted = "a duration such as 500ms, 30s, 5m or 1h"
        if not isinstance(value, str) or not re.fullmatch(_DURATION, value):
            is_number = isinstance(value, int) and not isinstance(value, bool)
            return _refuse(value, path, sheet, wanted, f"write {value}s" if is_number else "")
        number = value.rstrip("msh")
        length = int(number) * _UNITS[value[len(number) :]]
        if not 0 < length <= _LONGEST:
            return _refuse(value, path, sheet, "longer than nothing and at most 8760h")
        return length

    def schema(self) -> dict[str, Any]:
        """A string with a unit."""
        return {"type": "string", "pattern": _DURATION}


class Condition:
    """A CEL expression that is true or false; the compiler compiles it."""

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The text, with its `=`."""
        if isinstance(value, str) and value.startswith("="):
            return value
        hint = f'write "={value}"' if isinstance(value, str) else ""
        return _refuse(value, path, sheet, "a condition: a string that begins with =", hint)

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


class JsonSchema:
    """A JSON Schema (2020-12) of the author's, complete in itself."""

    def __init__(self, *, of_object: bool = False) -> None:
        """`of_object` demands that it describes an object, by `type: object`."""
        self._of_object = of_object

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The schema."""
        if not isinstance(value, dict):
            return _refuse(value, path, sheet, "a JSON Schema, which is a map")
        if _has_hole(value):
            return UNSET
        try:
            Schema(value)
        except InvalidRequest as error:
            _explain(value, path, sheet, error)
            return UNSET
        if self._of_object and value.get("type") != "object":
            sheet.wrong(path, "this schema must describe an object", "add `type: object`")
            return UNSET
        return value

    def schema(self) -> dict[str, Any]:
        """A JSON Schema, by the name of its own schema."""
        schema: dict[str, Any] = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
        if self._of_object:
            schema |= {"type": "object", "required": ["type"]}
            schema["properties"] = {"type": {"const": "object"}}
        return schema


_METASCHEMA = Draft202012Validator(
    Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER
)
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


def _has_hole(value: Json) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(_has_hole(part) for part in parts)
    return value is UNSET


def _explain(value: Json, path: Path, sheet: Sheet, error: InvalidRequest) -> None:
    """Every mistake at its own place; what is no matter of one place stands at the schema."""
    mistakes = list(_METASCHEMA.iter_errors(value))
    for mistake in mistakes:
        inner = tuple(mistake.absolute_path)
        message, hint = f"this is not JSON Schema: {mistake.message:.200}", ""
        if inner[-1:] == ("type",) and isinstance(mistake.instance, str):
            message = f"{shown(mistake.instance)} is not a type of JSON Schema"
            hint = sheet.report.nearest(mistake.instance, _TYPES)
            hint = hint or f"the types are {', '.join(_TYPES)}"
        sheet.wrong((*path, *inner), message, hint)
    if not mistakes:
        sheet.wrong(path, f"this JSON Schema cannot be used: {error.detail['schema']}")


class ListOf:
    """A list of values of one shape."""

    def __init__(self, item: Shape, *, least: int = 0, most: int, unique: bool = False) -> None:
        self._item, self._least, self._most, self._unique = item, least, most, unique

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The items, UNSET where one cannot be used, so that they keep their places."""
        if not isinstance(value, list):
            return _refuse(value, path, sheet, "a list")
        if not self._least <= len(value) <= self._most:
            wanted = f"from {self._least} to {self._most} items"
            sheet.wrong(path, f"this list must have {wanted}, it has {len(value)}")
            return UNSET
        items = [self._item.read(item, (*path, i), sheet) for i, item in enumerate(value)]
        if self._unique:
            self._check_unique(items, path, sheet)
        return items

    def _check_unique(self, items: list[Json], path: Path, sheet: Sheet) -> None:
        seen: set[Json] = set()
        for index, item in enumerate(items):
            if item is not UNSET and item in seen:
                sheet.wrong((*path, index), f"{shown(item)} is in the list twice")
            seen.add(item)

    def schema(self) -> dict[str, Any]:
        """An array."""
        schema: dict[str, Any] = {"type": "array", "items": self._item.schema()}
        if self._least:
            schema["minItems"] = self._least
        if self._unique:
            schema["uniqueItems"] = True
        return schema | {"maxItems": self._most}


class MapOf:
    """A map from keys of the author's to values of one shape."""

    def __init__(self, item: Shape, *, key: Text | None = None) -> None:
        self._item, self._key = item, key

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The entries, UNSET where one cannot be used."""
        if not isinstance(value, dict):
            return _refuse(value, path, sheet, "a map")
        entries: dict[str, Json] = {}
        for key, item in value.items():
            entries[key] = self._item.read(item, (*path, key), sheet)
            if self._key is not None and (trouble := self._key.trouble(key)):
                sheet.wrong_key((*path, key), *trouble)
        return entries

    def schema(self) -> dict[str, Any]:
        """An object."""
        schema: dict[str, Any] = {"type": "object"}
        if item := self._item.schema():
            schema["additionalProperties"] = item
        if self._key is not None:
            schema["propertyNames"] = self._key.schema()
        return schema


class Key:
    """A key of a `Record`: its shape, what it means, and whether it must be there."""

    def __init__(self, shape: Shape, about: str, *, required: bool = False) -> None:
        self.shape, self.about, self.required = shape, about, required


class Record:
    """A map with known keys. `what` names it in messages: "an agent"."""

    def __init__(self, what: str, keys: Mapping[str, Key]) -> None:
        self.what = what
        self.keys = keys

    def read(
        self,
        value: Json,
        path: Path,
        sheet: Sheet,
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> Json:
        """The keys that are there; `elsewhere` says where a key belongs that is not ours."""
        if not isinstance(value, dict):
            return _refuse(value, path, sheet, f"{self.what}, which is a map")
        for name, key in self.keys.items():
            if key.required and name not in value:
                sheet.wrong(path, f"`{name}` is missing", f"{self.what} needs it")
        entries: dict[str, Json] = {}
        for name, item in value.items():
            if name in self.keys:
                entries[name] = self.keys[name].shape.read(item, (*path, name), sheet)
            else:
                self._refuse_key(name, (*path, name), sheet, elsewhere)
        return entries

    def _refuse_key(
        self, name: str, path: Path, sheet: Sheet, elsewhere: Mapping[str, str]
    ) -> None:
        hint = elsewhere.get(name) or sheet.report.nearest(name, self.keys)
        hint = hint or f"{self.what} has {', '.join(self.keys)}"
        sheet.wrong_key(path, f"the key {shown(name)} is not known here", hint)

    def schema(self) -> dict[str, Any]:
        """An object without other properties."""
        properties = {
            name: {"description": key.about, **key.shape.schema()}
            for name, key in self.keys.items()
        }
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if required := [name for name, key in self.keys.items() if key.required]:
            schema["required"] = required
        return schema | {"additionalProperties": False}


class Kinds:
    """A record of one of several kinds, told by which kind key it has: exactly one.

    Dispatching on that key first keeps messages about the kind that was meant. `later` are
    kinds that the design has and this release does not.
    """

    def __init__(
        self, what: str, kinds: Mapping[str, Record], later: frozenset[str] = frozenset()
    ) -> None:
        self._what, self._kinds, self._later = what, kinds, later
        self._listed = ", ".join(kinds)

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """What could be used of it."""
        if not isinstance(value, dict):
            return _refuse(value, path, sheet, f"{self._what}, which is a map")
        present = [kind for kind in self._kinds if kind in value]
        if len(present) == 1:
            return self._read_as(present[0], value, path, sheet)
        if present:
            both = " and ".join(f"`{kind}`" for kind in present)
            sheet.wrong(path, f"{self._what} has exactly one of {self._listed}, this has {both}")
        else:
            self._refuse_kindless(value, path, sheet)
        return UNSET

    def _read_as(self, kind: str, value: dict[str, Json], path: Path, sheet: Sheet) -> Json:
        record = self._kinds[kind]
        owners: dict[str, list[str]] = {}
        for other in self._kinds.values():
            for name in other.keys:
                owners.setdefault(name, []).append(other.what)
        elsewhere = {name: f"it belongs to {' or '.join(them)}" for name, them in owners.items()}
        return record.read(value, path, sheet, elsewhere)

    def _refuse_kindless(self, value: dict[str, Json], path: Path, sheet: Sheet) -> None:
        """Nothing says what it is: a later kind, a misspelt one, or none."""
        known = {name for record in self._kinds.values() for name in record.keys}
        for name in value:
            if name in self._later:
                hint = f"use one of {self._listed}"
                sheet.wrong_key((*path, name), f"nodes of the kind `{name}` come later", hint)
                return
        for name in value:
            hint = "" if name in known else sheet.report.nearest(name, self._kinds)
            if hint:
                sheet.wrong_key((*path, name), f"the key {shown(name)} is not known here", hint)
                return
        sheet.wrong(path, f"nothing says what this is: {self._what} has one of {self._listed}")

    def schema(self) -> dict[str, Any]:
        """One of the records."""
        return {"oneOf": [record.schema() for record in self._kinds.values()]}
