"""The schema of an answer, in the forms in which providers enforce one.

An answer is checked against the schema as it was written in any case: what is done here only
makes it likelier to fit at the first try.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from stepwell.engine.messages import Message
from stepwell.engine.values import Json
from stepwell.llm.port import ModelRequest

_NOT_ENFORCED: Final = frozenset(
    {
        "oneOf",
        "allOf",
        "not",
        "if",
        "dependentSchemas",
        "dependentRequired",
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
        "prefixItems",
        "contains",
    }
)


class _OpenError(Exception):
    """The schema cannot be closed without refusing answers that fit it."""


def closed(schema: Mapping[str, Any], *, all_required: bool) -> dict[str, Json] | None:
    """The schema with every object closed, as providers demand; None where it must stay open.

    Whatever fits the result fits the schema. With `all_required` a schema with an optional
    property has no closed form.
    """
    try:
        return _closed(schema, all_required) if schema.get("type") == "object" else None
    except _OpenError:
        return None


def _closed(schema: Json, all_required: bool) -> dict[str, Json]:
    if not isinstance(schema, Mapping) or not _NOT_ENFORCED.isdisjoint(schema):
        raise _OpenError
    result: dict[str, Json] = dict(schema)
    for key in ("properties", "$defs"):
        if key in schema:
            parts = schema[key].items()
            result[key] = {name: _closed(part, all_required) for name, part in parts}
    if "items" in schema:
        result["items"] = _closed(schema["items"], all_required)
    if "anyOf" in schema:
        result["anyOf"] = [_closed(part, all_required) for part in schema["anyOf"]]
    kind = schema.get("type")
    if isinstance(kind, list):
        plain = {key: value for key, value in result.items() if key != "type"}
        return {"anyOf": [_closed(plain | {"type": one}, all_required) for one in kind]}
    if kind == "object":
        _close(result, all_required)
    return result


def _close(result: dict[str, Json], all_required: bool) -> None:
    properties = result.get("properties", {})
    if not properties or result.get("additionalProperties", False) is not False:
        raise _OpenError
    if all_required and set(result.get("required", ())) != set(properties):
        raise _OpenError
    result["additionalProperties"] = False


def in_words(request: ModelRequest) -> ModelRequest:
    """The request with its schema as an instruction, for who cannot be given one to enforce."""
    if request.output is None:
        return request
    schema = msgspec.json.encode(request.output).decode()
    instruction = Message(
        role="system",
        text=f"When you give your final answer, give only JSON that fits this JSON Schema, "
        f"with no other text and no code fence around it: {schema}",
    )
    return msgspec.structs.replace(request, messages=(instruction, *request.messages), output=None)
