"""What rules can see of a tool's arguments: its JSON Schema, as types of Cedar.

Text, whole numbers, other numbers with at most four decimals, truth values, sets and records with
names. What a rule could misread is left out, and the reason kept for whoever writes a rule about it:
values of more than one type, objects whose names nobody declares, schemas that refer to themselves.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct

MAX_LEVELS: Final = 8
"""Levels of an argument that rules can see."""

MAX_ATTRIBUTES: Final = 500
"""Named values of one tool that rules can see; a tool with more shows none."""

_MAX_REFERENCES: Final = 16
"""References from one to the next."""

_ESCAPES: Final = frozenset({"__entity", "__extn", "__expr"})
"""Names with which Cedar marks its own values; an argument of that name would become one."""


class Scalar(Struct, frozen=True):
    """One value: `String`, `Long`, `Decimal` or `Boolean`. `allowed` are its values, if few."""

    type: str
    allowed: frozenset[str] = frozenset()


class SetOf(Struct, frozen=True):
    """An array: rules see what is in it, not in which order nor how often."""

    item: "Shape"


class Record(Struct, frozen=True):
    """An object with names that are known. `unseen` tells why others cannot be seen."""

    attributes: Mapping[str, "Attribute"]
    unseen: Mapping[str, str] = {}


Shape: TypeAlias = Scalar | SetOf | Record


class Attribute(Struct, frozen=True):
    """A named value. What is left out is seen as its default, where the schema tells one."""

    shape: Shape
    required: bool
    default: Any = None

    @property
    def is_always_there(self) -> bool:
        """Whether rules may use it without asking whether it is there."""
        return self.required or self.default is not None


class _Unseen(Exception):
    """Rules cannot see this value; the text says why."""


class _TooLarge(Exception):
    """There is more than rules can see."""


def input_shape(schema: Mapping[str, Any]) -> Record:
    """What rules see of the arguments that fit a schema. It takes bounded time for any schema."""
    reader = _Reader(schema)
    try:
        shape = reader.record(schema, 1)
    except _TooLarge:
        why = f"the tool has more than {MAX_ATTRIBUTES} named values, so rules see none of them"
        return Record({}, {"": why})
    except _Unseen as error:
        return Record({}, {"": str(error)})
    return shape


class _Reader:
    """Reads one schema; counts what it has seen, because references multiply."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._seen = 0
        self._open: set[int] = set()
        """The objects that are being read, by identity."""

    def record(self, schema: Mapping[str, Any], level: int) -> Record:
        schema, _ = self._resolved(schema)
        if id(schema) in self._open:
            raise _Unseen("its schema refers to itself")
        self._open.add(id(schema))
        try:
            return self._named(schema, level)
        finally:
            self._open.remove(id(schema))

    def _named(self, schema: Mapping[str, Any], level: int) -> Record:
        properties = schema.get("properties")
        required = schema.get("required")
        names = required if isinstance(required, list) else ()
        attributes: dict[str, Attribute] = {}
        unseen: dict[str, str] = {}
        for name, part in properties.items() if isinstance(properties, Mapping) else ():
            self._seen += 1
            if self._seen > MAX_ATTRIBUTES:
                raise _TooLarge
            try:
                attributes[name] = self._attribute(name, part, level, is_required=name in names)
            except _Unseen as error:
                unseen[name] = str(error)
        return Record(attributes, unseen)

    def _attribute(self, name: str, part: Any, level: int, *, is_required: bool) -> Attribute:
        if name in _ESCAPES:
            raise _Unseen("Cedar keeps this name for itself")
        shape, may_be_null = self._shape(part, level + 1)
        default = part.get("default") if isinstance(part, Mapping) else None
        return Attribute(shape, is_required and not may_be_null, default)

    def _shape(self, part: Any, level: int) -> tuple[Shape, bool]:
        if level > MAX_LEVELS:
            raise _Unseen(f"it lies deeper than {MAX_LEVELS} levels")
        if not isinstance(part, Mapping):
            raise _Unseen("its schema allows any value")
        schema, may_be_null = self._resolved(part)
        kind, null_too = _type_of(schema)
        may_be_null = may_be_null or null_too
        match kind:
            case "string":
                return Scalar("String", _allowed(schema)), may_be_null
            case "integer":
                return Scalar("Long"), may_be_null
            case "number":
                return Scalar("Decimal"), may_be_null
            case "boolean":
                return Scalar("Boolean"), may_be_null
            case "array":
                return SetOf(self._item(schema, level)), may_be_null
            case "object":
                return self.record(schema, level), may_be_null
        raise _Unseen(f"values of the type {kind} tell rules nothing")

    def _item(self, schema: Mapping[str, Any], level: int) -> Shape:
        if schema.get("prefixItems"):
            raise _Unseen("its items have types of their own")
        item, may_be_null = self._shape(schema.get("items"), level + 1)
        if may_be_null:
            raise _Unseen("its items may be null")
        return item

    def _resolved(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """The schema that says the type, behind references and "this or null"."""
        may_be_null = False
        for _ in range(_MAX_REFERENCES):
            if "type" in schema or "enum" in schema or "const" in schema:
                return schema, may_be_null
            if isinstance(reference := schema.get("$ref"), str):
                schema = self._target(reference)
                continue
            choices = schema.get("anyOf", schema.get("oneOf", schema.get("allOf")))
            if not isinstance(choices, list):
                return schema, may_be_null
            others = [choice for choice in choices if not _is_null(choice)]
            may_be_null = may_be_null or len(others) < len(choices)
            if len(others) != 1 or not isinstance(others[0], Mapping):
                raise _Unseen("it may be of more than one type")
            schema = others[0]
        raise _Unseen("its schema refers from one to the next without end")

    def _target(self, reference: str) -> Mapping[str, Any]:
        if not reference.startswith("#"):
            raise _Unseen(f"its schema lies elsewhere ({reference:.60})")
        target: Any = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            raise _Unseen(f"its schema is not there ({reference:.60})")
        return target


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): ""}


def _type_of(schema: Mapping[str, Any]) -> tuple[str, bool]:
    """The one type that values have, and whether they may be null, too."""
    told = schema.get("type")
    names = [told] if isinstance(told, str) else told
    if not isinstance(names, list):
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if not isinstance(values, list):
            if "properties" in schema:
                return "object", False
            raise _Unseen("its schema tells no type")
        names = list({_TYPES.get(type(value), "object") or "null" for value in values})
    others = [name for name in names if name != "null"]
    if set(others) == {"integer", "number"}:
        others = ["number"]
    if len(others) != 1 or not isinstance(others[0], str):
        raise _Unseen("it may be of more than one type")
    return others[0], len(others) < len(names)


def _allowed(schema: Mapping[str, Any]) -> frozenset[str]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else ())
    return frozenset(value for value in values if isinstance(value, str))
