"""JSON Schema 2020-12, compiled once, with answers that a model can act on."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError

from stepwell.engine.values import Json
from stepwell.tools.schema_misfits import misfits
from stepwell.tools.schema_rules import checked

MAX_PROBLEMS = 20
"""Problems named of one value; the number of those left out is told."""

_MAX_ERRORS = 100
"""Errors put into words; reading one takes time by all that its rule would allow."""

_MAX_COMPARED = 20_000_000
"""Bytes of a value times bytes of a schema up to which every error is asked for."""

_CACHED = 1024


class Schema:
    """One compiled JSON Schema. References stay inside it: nothing is ever fetched.

    Raises:
        InvalidRequest: INVALID_DEFINITION, it is not a schema, names another dialect, refers
            to something outside itself, or is too large; `detail["schema"]` says where.
    """

    __slots__ = ("_fits", "_is_shallow", "_levels", "_mapping", "_validator")

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        schema = checked(mapping)
        self._mapping = schema.mapping
        self._validator = schema.validator
        self._levels = schema.levels
        self._is_shallow = _is_shallow(schema.levels)
        self._fits: Callable[[Json], bool] = schema.validator.is_valid
        if schema.has_references:
            self._fits = _both(self._is_shallow, schema.validator.is_valid)

    def problems(self, value: Json) -> tuple[str, ...]:
        """What is wrong with a value, one sentence each; () when it fits."""
        try:
            if self._fits(value):
                return ()
            if not self._is_shallow(value):
                return (f"the value is nested too deeply, the limit is {self._levels} levels",)
            errors, are_all = self._errors(value)
            found = misfits(errors[:_MAX_ERRORS], value=value, schema=self._mapping)
        except ValueError as error:
            return (f"the value cannot be checked, it is not JSON: {error}",)
        told = [str(misfit) for misfit in found[:MAX_PROBLEMS]]
        if not are_all:
            told.append("and perhaps more problems")
        elif len(found) > MAX_PROBLEMS:
            told.append(f"and {len(found) - MAX_PROBLEMS} more problems")
        return tuple(told)

    def _errors(self, value: Json) -> tuple[list[ValidationError], bool]:
        """What the validator finds, and whether that is all: the first alone of what is large.

        It makes all errors at once, and each with everything that its rule would allow.
        """
        size = len(msgspec.json.encode(value)) * len(msgspec.json.encode(self._mapping))
        if size <= _MAX_COMPARED:
            errors = list(self._validator.iter_errors(value))
            return errors, len(errors) <= _MAX_ERRORS
        try:
            self._validator.validate(value)
        except ValidationError as error:
            return [error], False
        return [], True


def compiled(mapping: Mapping[str, Any]) -> Schema:
    """The compiled form of a schema, remembered by the identity of the mapping.

    Compiling takes a hundred times as long as a check, so whoever holds a schema keeps the same
    object.

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


@cache
def _is_shallow(levels: int) -> Callable[[Json], bool]:
    """Whether a value has no more levels than these. It is a schema, and so as fast as one."""
    definitions: dict[str, Any] = {}
    for level in range(levels):
        deeper = {"$ref": f"#/$defs/{level + 1}"}
        definitions[str(level)] = {"items": deeper, "additionalProperties": deeper}
    definitions[str(levels)] = {"type": ["null", "boolean", "number", "string"]}
    return Draft202012Validator({"$ref": "#/$defs/0", "$defs": definitions}, offline=True).is_valid


def _both(first: Callable[[Json], bool], second: Callable[[Json], bool]) -> Callable[[Json], bool]:
    return lambda value: first(value) and second(value)
