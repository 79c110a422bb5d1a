"""The shapes of lists and maps; see `stepwell.definitions.shapes`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import UNSET

from stepwell.definitions.problems import Path, shown
from stepwell.definitions.shapes import Shape, Text, refuse
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json


class ListOf:
    """A list of values of one shape."""

    def __init__(self, item: Shape, *, least: int = 0, most: int, unique: bool = False) -> None:
        self._item, self._least, self._most, self._unique = item, least, most, unique

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The items, UNSET where one cannot be used, so that they keep their places."""
        if not isinstance(value, list):
            return refuse(value, path, sheet, "a list")
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
            return refuse(value, path, sheet, "a map")
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
    """A map with known keys. `what` names it in messages: "an agent"; `example` is a short one.

    `misplaced` says of keys that people look for here what they do instead.
    """

    def __init__(
        self,
        what: str,
        keys: Mapping[str, Key],
        *,
        example: str = "",
        misplaced: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.what = what
        self.keys = keys
        self._example = example
        self._misplaced = misplaced

    def read(
        self,
        value: Json,
        path: Path,
        sheet: Sheet,
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> Json:
        """The keys that are there; `elsewhere` says where a key belongs that is not ours."""
        if not isinstance(value, dict):
            hint = f"write {self._example}" if self._example else ""
            return refuse(value, path, sheet, f"{self.what}, which is a map", hint)
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
        hint = self._misplaced.get(name) or elsewhere.get(name)
        hint = hint or sheet.report.nearest(name, self.keys)
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


_FEW = 3
"""When more kinds than these have a key, it helps more to say which keys this one has."""


class Kinds:
    """A record of one of several kinds, told by which kind key it has: exactly one.

    Dispatching on that key first keeps messages about the kind that was meant. `refused` are
    kinds that people expect and that are not there: why not, and what to do instead.
    """

    def __init__(
        self,
        what: str,
        kinds: Mapping[str, Record],
        refused: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    ) -> None:
        self._what, self._kinds, self._refused = what, kinds, refused
        self._listed = ", ".join(kinds)

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """What could be used of it."""
        if not isinstance(value, dict):
            return refuse(value, path, sheet, f"{self._what}, which is a map")
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
        owners: dict[str, list[str]] = {}
        for other in self._kinds.values():
            for name in other.keys:
                owners.setdefault(name, []).append(other.what)
        elsewhere = {name: instead for name, (_, instead) in self._refused.items()}
        elsewhere |= {
            name: f"it belongs to {' or '.join(them)}"
            for name, them in owners.items()
            if len(them) <= _FEW
        }
        return self._kinds[kind].read(value, path, sheet, elsewhere)

    def _refuse_kindless(self, value: dict[str, Json], path: Path, sheet: Sheet) -> None:
        """Nothing says what it is: a kind that is not there, a misspelt one, or none."""
        known = {name for record in self._kinds.values() for name in record.keys}
        for name in value:
            if name in self._refused:
                sheet.wrong_key((*path, name), *self._refused[name])
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


class Shared:
    """A shape that the format has in many places, and that its schema describes once."""

    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape = name, shape

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """What the shape makes of it."""
        return self.shape.read(value, path, sheet)

    def schema(self) -> dict[str, Any]:
        """The name of the shape, among the `$defs` of the schema."""
        return {"$ref": f"#/$defs/{self.name}"}
