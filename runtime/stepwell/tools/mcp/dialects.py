"""Schemas of older drafts, which most servers still write, in the words of JSON Schema 2020-12."""

from collections.abc import Mapping
from typing import Any, Final

CURRENT: Final = "https://json-schema.org/draft/2020-12/schema"

_ONE: Final = frozenset(
    {"not", "if", "then", "else", "contains", "propertyNames", "additionalProperties"}
    | {"unevaluatedItems", "unevaluatedProperties", "contentSchema", "items", "additionalItems"}
)
_LIST: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})


def current(schema: Any) -> Any:
    """A schema in 2020-12; one that says that it is, is left as it is."""
    if isinstance(schema, Mapping) and str(schema.get("$schema", "")).rstrip("#") == CURRENT:
        return schema
    return _translated(schema)


def _translated(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "$schema":
            continue
        if word == "definitions":
            made["$defs"] = {**_named(value), **made.get("$defs", {})}
        elif word == "dependencies" and isinstance(value, Mapping):
            _depend(made, value)
        elif word == "$ref" and isinstance(value, str):
            made[word] = value.replace("#/definitions/", "#/$defs/", 1)
        elif word in _NAMED:
            made[word] = (
                {**made.get(word, {}), **_named(value)} if word == "$defs" else _named(value)
            )
        elif word in _LIST and isinstance(value, list):
            made[word] = [_translated(one) for one in value]
        elif word == "items" and isinstance(value, list):
            made["prefixItems"] = [_translated(one) for one in value]
        elif word in _ONE:
            made[word] = _translated(value)
        else:
            made[word] = value
    return _mended(made, schema)


def _mended(made: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What one word of an older draft says together with another."""
    rest = made.pop("additionalItems", None)
    if rest is not None and isinstance(schema.get("items"), list):
        made["items"] = rest
    for limit, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        # Draft 4 has a yes or a no beside the bound.
        if isinstance(made.get(limit), bool) and made.pop(limit) and bound in made:
            made[limit] = made.pop(bound)
    return made


def _named(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: _translated(one) for name, one in value.items()}


def _depend(made: dict[str, Any], value: Mapping[str, Any]) -> None:
    required = {name: list(one) for name, one in value.items() if isinstance(one, list)}
    schemas = {name: _translated(one) for name, one in value.items() if isinstance(one, Mapping)}
    if required:
        made["dependentRequired"] = required
    if schemas:
        made["dependentSchemas"] = schemas
