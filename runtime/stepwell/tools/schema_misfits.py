"""Why a value does not fit a JSON Schema, in sentences that a model can act on."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec
from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind
from msgspec import Struct
from msgspec.structs import replace

from stepwell.engine.values import Json

_NESTED = 3
"""Levels of alternatives inside alternatives that are told; nobody can act on more."""

# Comparing names takes time by their number and length; whoever sends many has not mistyped one.
_COMPARED = 20
_CANDIDATES = 200
_LONGEST = 80


class Misfit(Struct, frozen=True):
    """One reason why a value does not fit: where in it, and what would have been right."""

    path: tuple[str | int, ...]
    text: str
    """A sentence without its subject: `must be integer, it is null`."""

    def __str__(self) -> str:
        return f"{named(self.path) or 'the value'} {self.text}"


def misfits(
    errors: Iterable[ValidationError], *, value: Json, schema: Mapping[str, Any]
) -> tuple[Misfit, ...]:
    """What the validator found in a value, in the order of the places, nothing twice.

    The schema tells which properties would have been known.
    """
    return tuple(dict.fromkeys(_found(errors, _Told(value, schema, _NESTED))))


class _Told(Struct, frozen=True):
    """What the errors are about, and how many levels of alternatives are still told."""

    value: Json
    schema: Mapping[str, Any]
    nested: int


def _found(errors: Iterable[ValidationError], told: _Told) -> Iterator[Misfit]:
    ordered = sorted(errors, key=lambda error: [str(step) for step in error.instance_path])
    for _, same in groupby(ordered, key=lambda error: (error.instance_path, error.schema_path)):
        group = list(same)
        path, _ = _down(told.value, group[0].instance_path)
        if isinstance(group[0].kind, Kind.Required):  # the validator tells each name by itself
            yield Misfit(path, f"lacks {_listed([error.kind.value for error in group])}")
        else:
            yield from (Misfit(path, _text(error, told)) for error in group)


def named(path: Iterable[str | int]) -> str:
    """A path as people write it: `filters[0].op`; "" for the value itself."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _text(error: ValidationError, told: _Told) -> str:
    instance: Json = error.instance
    given = _shown(instance)
    match error.kind:
        case Kind.Type(types=types):
            return f"must be {' or '.join(types)}, it is {given}"
        case Kind.Enum(options=options):
            return f"must be one of {_listed(options)}, it is {given}"
        case Kind.Constant(expected_value=expected):
            return f"must be {_json(expected)}, it is {given}"
        case (
            Kind.AdditionalProperties(unexpected=names)
            | Kind.UnevaluatedProperties(unexpected=names)
        ):
            return _unknown(names, _known(told.schema, error.schema_path))
        case Kind.AnyOf(context=branches) | Kind.OneOfNotValid(context=branches):
            return f"fits none of the alternatives{_alternatives(branches, told)}"
        case Kind.OneOfMultipleValid(context=branches):
            fitting = [str(n) for n, branch in enumerate(branches, 1) if not branch]
            return f"fits the alternatives {' and '.join(fitting)}, it must fit one alone"
        case Kind.Pattern(pattern=pattern):
            return f"must match the pattern {_json(pattern)}, it is {given}"
        case Kind.BacktrackLimitExceeded():
            return f"takes too long to be matched with the pattern, it is {given}"
        case Kind.PropertyNames(error=inner):
            reason = _text(inner, replace(told, value=inner.instance))
            return f"may not have the property {_json(inner.instance)}: its name {reason}"
        case Kind.Not(schema=refused):
            return f"must not fit {_json(refused)}, it is {given}"
        case Kind.MultipleOf(multiple_of=factor):
            return f"must be a multiple of {factor}, it is {given}"
        case Kind.UniqueItems():
            return f"must not have the same item twice, it is {given}"
        case Kind.FalseSchema():
            return f"must be left out, it is {given}"
        case Kind.UnevaluatedItems(unexpected=items):
            return f"may not have the items {_cut(', '.join(str(item) for item in items))}"
        case Kind.Contains():
            return _CONTAINS.get(str(error.schema_path[-1]), _CONTAINS["contains"])
        case Kind.Format(format="regex"):
            return f"must be a regular expression, and no huge one like .{{1,9999}}, it is {given}"
        case kind if kind.name in _BOUNDS:
            return f"must be {_BOUNDS[kind.name]} {kind.value}, it is {given}"
        case kind if kind.name in _SIZES:
            return f"must have {_SIZES[kind.name].format(kind.value)}, it has {len(instance)}"
        case kind:
            return f"breaks {kind.name}: {_cut(error.message)}"


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

_CONTAINS = {
    "contains": "has no item that fits `contains`",
    "minContains": "has fewer items that fit `contains` than `minContains` demands",
    "maxContains": "has more items that fit `contains` than `maxContains` allows",
}


def _unknown(extra: Sequence[str], known: Sequence[str]) -> str:
    candidates = [name for name in known[:_CANDIDATES] if len(name) <= _LONGEST]
    near = [
        f"{_json(name)} instead of {_json(wrong)}"
        for wrong in extra[:_COMPARED]
        for name in difflib.get_close_matches(wrong[:_LONGEST], candidates, 1)
    ]
    meant = f"; did you mean {', '.join(near)}?" if near else ""
    allowed = f"; known are {_listed(known)}" if known else ""
    return f"has no property {_listed(extra)}{meant}{allowed}"


def _known(schema: Mapping[str, Any], rule: Sequence[str | int]) -> list[str]:
    """The properties beside a rule."""
    _, part = _down(schema, rule[:-1])
    return list(part.get("properties", ())) if isinstance(part, Mapping) else []


def _alternatives(branches: Iterable[list[ValidationError]], told: _Told) -> str:
    """The nearest thing to say of each alternative, once."""
    if not told.nested:
        return ""
    inner = replace(told, nested=told.nested - 1)
    first = [str(next(_found(branch, inner))) for branch in branches if branch]
    return ": " + "; or ".join(dict.fromkeys(first[:4]))


def _down(value: Json, steps: Iterable[str | int]) -> tuple[tuple[str | int, ...], Json]:
    """The exact way that the validator means, and what stands at its end; None if it is lost.

    The validator gives every name that reads as a number as one: 7 for "7" and for "07".
    """
    path: list[str | int] = []
    for step in steps:
        if isinstance(value, Mapping):
            name = _name(value, step) if isinstance(step, int) else step
            path.append(name)
            value = value.get(name)
        else:
            path.append(step)
            value = value[step] if isinstance(value, list) and isinstance(step, int) else None
    return tuple(path), value


def _name(mapping: Mapping[str, Any], number: int) -> str:
    name = str(number)
    if name in mapping:
        return name
    return next((key for key in mapping if key.isdecimal() and int(key) == number), name)


def _listed(values: Sequence[Any]) -> str:
    shown = ", ".join(_json(value) for value in values[:12])
    return f"{shown} and {len(values) - 12} more" if len(values) > 12 else shown


def _shown(value: Json) -> str:
    """A value with the name of its type, cut short."""
    kind = {dict: "object", list: "array", str: "string", bool: "boolean"}.get(type(value), "")
    return f"the {kind} {_json(value)}" if kind else _json(value)


def _json(value: Json) -> str:
    return _cut(msgspec.json.encode(value).decode())


def _cut(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
