"""JSON Schema 2020-12, compiled once, with answers that a model can act on."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from stepwell.engine.values import Json
from stepwell.errors import Code, InvalidRequest

MAX_SIZE = 256 * 1024
"""Bytes of JSON that one schema may have."""

MAX_DEPTH = 64
"""Levels of lists and objects that one schema may have."""

MAX_PROBLEMS = 20
"""Problems named of one value; the number of those left out is told."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_CACHED = 1024


class Schema:
    """One compiled JSON Schema. References stay inside it: nothing is ever fetched.

    Raises:
        InvalidRequest: INVALID_DEFINITION, it is not a schema, names another dialect, refers
            to something outside itself, or is too large; `detail["schema"]` says where.
    """

    __slots__ = ("_validator",)

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        _check(mapping)
        self._validator = Draft202012Validator(mapping, registry=Registry())

    def problems(self, value: Json) -> tuple[str, ...]:
        """What is wrong with a value, one sentence each; () when it fits."""
        try:
            errors = list(self._validator.iter_errors(value))
        except RecursionError:
            return ("the value, or the schema, is nested too deeply to be checked",)
        if not errors:
            return ()
        told = list(dict.fromkeys(_sentence(error) for error in sorted(errors, key=_place)))
        if len(told) > MAX_PROBLEMS:
            told[MAX_PROBLEMS:] = [f"and {len(told) - MAX_PROBLEMS} more problems"]
        return tuple(told)


def compiled(mapping: Mapping[str, Any]) -> Schema:
    """The compiled form of a schema, remembered by the identity of the mapping.

    Compiling takes milliseconds and a durable step may need two schemas, so whoever holds a
    schema keeps the same object.

    Raises:
        InvalidRequest: as `Schema`.
    """
    known = _cache.get(id(mapping))
    if known is not None:
        return known[1]
    schema = Schema(mapping)
    while len(_cache) >= _CACHED:
        del _cache[next(iter(_cache))]
    _cache[id(mapping)] = (mapping, schema)
    return schema


# The mapping is kept beside its schema, so that its id cannot be given to another one.
_cache: dict[int, tuple[Mapping[str, Any], Schema]] = {}


# --- what may be a schema ----------------------------------------------------------------


def _check(mapping: Mapping[str, Any]) -> None:
    if _depth(mapping, MAX_DEPTH) > MAX_DEPTH:
        raise _invalid("", f"it is nested deeper than {MAX_DEPTH} levels")
    try:
        size = len(msgspec.json.encode(mapping))
    except (TypeError, ValueError) as error:
        raise _invalid("", f"it is not JSON: {error}") from error
    if size > MAX_SIZE:
        raise _invalid("", f"it has {size} bytes, the limit is {MAX_SIZE}")
    dialect = mapping.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != DIALECT:
        raise _invalid("$schema", f"only {DIALECT} is understood, leave $schema out")
    try:
        Draft202012Validator.check_schema(mapping)
    except SchemaError as error:
        raise _invalid(_path(error.absolute_path), _sentence(error)) from error
    _check_references(mapping)


def _check_references(mapping: Mapping[str, Any]) -> None:
    root: Resource[Any] = DRAFT202012.create_resource(mapping)
    resolver = Registry().resolver_with_root(root)
    for part in _subschemas(root):
        if part is not mapping and "$id" in part:
            raise _invalid("$id", "only the root may have an $id; use $defs and #/$defs/NAME")
        for key in ("$ref", "$dynamicRef"):
            reference = part.get(key)
            if reference is None:
                continue
            if not reference.startswith("#"):
                raise _invalid(
                    key,
                    f"{reference!r} lies outside the schema; nothing is fetched, "
                    "put what it names under $defs and refer to #/$defs/NAME",
                )
            try:
                resolver.lookup(reference)
            except Unresolvable as error:
                raise _invalid(key, f"{reference!r} names nothing in the schema") from error


def _subschemas(resource: Resource[Any]) -> Iterable[Mapping[str, Any]]:
    if isinstance(resource.contents, Mapping):
        yield resource.contents
        for inner in resource.subresources():
            yield from _subschemas(inner)


def _depth(part: object, bound: int) -> int:
    """Levels below and including this one; stops counting beyond `bound`."""
    if bound < 0 or not isinstance(part, Mapping | list | tuple):
        return 0
    inner = part.values() if isinstance(part, Mapping) else part
    return 1 + max((_depth(each, bound - 1) for each in inner), default=0)


def _invalid(place: str, reason: str) -> InvalidRequest:
    where = f" at {place}" if place else ""
    return InvalidRequest(
        f"the JSON Schema is not valid{where}: {reason}",
        code=Code.INVALID_DEFINITION,
        detail={"schema": f"{place}: {reason}" if place else reason},
    )


# --- sentences ---------------------------------------------------------------------------


def _place(error: ValidationError) -> list[str]:
    return [str(part) for part in error.absolute_path]


def _sentence(error: ValidationError | SchemaError) -> str:
    """Where, what was expected, what is there instead."""
    where = _path(error.absolute_path) or "the value"
    keyword = error.validator
    expected: Any = error.validator_value
    given: Any = error.instance
    match keyword:
        case "type":
            return f"{where} must be {_types(expected)}, it is {_shown(given)}"
        case "enum":
            return f"{where} must be one of {_listed(expected)}, it is {_shown(given)}"
        case "const":
            return f"{where} must be {_text(expected)}, it is {_shown(given)}"
        case "required":
            missing = [name for name in expected if name not in given]
            return f"{where} lacks {_listed(missing)}"
        case "additionalProperties" | "unevaluatedProperties" if isinstance(given, Mapping):
            return f"{where} {_unknown(error, given)}"
        case "anyOf" | "oneOf" if error.context:
            return f"{where} fits none of the alternatives: {_alternatives(error.context)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"{where} must be {_BOUNDS[keyword]} {expected}, it is {_shown(given)}"
        case str() if keyword in _SIZES:
            return f"{where} must have {_SIZES[keyword].format(expected)}, it has {len(given)}"
        case "pattern":
            return f"{where} must match the pattern {_text(expected)}, it is {_shown(given)}"
        case _:
            return f"{where} breaks {keyword}: {_cut(error.message)}"


_BOUNDS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "greater than",
    "exclusiveMaximum": "less than",
}


_SIZES = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} properties",
    "maxProperties": "at most {} properties",
}


def _unknown(error: ValidationError | SchemaError, given: Mapping[str, Any]) -> str:
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    known = list(schema.get("properties", {}))
    patterns = list(schema.get("patternProperties", {}))
    extra = [
        name
        for name in given
        if name not in known and not any(re.search(pattern, name) for pattern in patterns)
    ]
    near = [
        f"{_text(name)} instead of {_text(wrong)}"
        for wrong in extra
        for name in difflib.get_close_matches(wrong, known, 1)
    ]
    meant = f"; did you mean {', '.join(near)}?" if near else ""
    allowed = f"; known are {_listed(known)}" if known else ""
    return f"has no property {_listed(extra)}{meant}{allowed}"


def _alternatives(context: Iterable[ValidationError | SchemaError]) -> str:
    """The nearest thing to say of each alternative, once."""
    first: dict[object, str] = {}
    for error in context:
        first.setdefault(error.relative_schema_path[0], _sentence(error))
    return "; or ".join(dict.fromkeys(list(first.values())[:4]))


def _path(parts: Iterable[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _types(expected: str | list[str]) -> str:
    return expected if isinstance(expected, str) else " or ".join(expected)


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(_text(value) for value in values[:12])
    return f"{shown} and {len(values) - 12} more" if len(values) > 12 else shown


def _shown(value: Json) -> str:
    """A value with the name of its type, cut short."""
    kind = {dict: "object", list: "array", str: "string", bool: "boolean"}.get(type(value), "")
    if value is None:
        return "null"
    return f"the {kind} {_text(value)}" if kind else _text(value)


def _text(value: Json) -> str:
    try:
        return _cut(msgspec.json.encode(value).decode())
    except (TypeError, ValueError, RecursionError):
        return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
