"""What policies may speak of, as a schema of Cedar: one action per tool, made from its JSON Schema.

`User`, `Agent` and `Service` may be in a `Group`; the resource of a call is its `Tool`, which has the
attributes of `tool_attributes`. The context has the parts of `CONTEXT`, and `input`: the arguments.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from cedarpy import Schema

from stepwell.policy.shapes import Attribute, Record, Scalar, SetOf, Shape, input_shape
from stepwell.tools.port import ToolSpec

USAGE: Final = tuple(
    f"{what}_{scope}"
    for what in ("usd_micros", "tokens", "calls", "rows")
    for scope in ("run", "day", "namespace_day")
)
"""What is counted: in this run, for this principal since midnight UTC, for all in the namespace."""

TIME: Final = ("seconds", "hour", "weekday")
"""UTC: seconds since 1970, 0 to 23, 1 (Monday) to 7."""

PRINCIPALS: Final = MappingProxyType({"user": "User", "agent": "Agent", "service": "Service"})

_LONG: Final = {"type": "Long"}
_TEXT: Final = {"type": "String"}
_TRUTH: Final = {"type": "Boolean"}
_TEXTS: Final = {"type": "Set", "element": _TEXT}


def _longs(names: Collection[str]) -> dict[str, Any]:
    return {"type": "Record", "attributes": dict.fromkeys(names, _LONG)}


CONTEXT: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "approved": _TRUTH,
        "approved_before": _LONG,
        "author": _TEXT,
        "direct": _TRUTH,
        "granted": _TRUTH,
        "labels": _TEXTS,
        "time": _longs(TIME),
        "usage": _longs(USAGE),
        "workflow": _TEXT,
    }
)
"""The parts of the context beside `input`, each with its type."""

_TOOL: Final = {
    "type": "Record",
    "attributes": {
        "destructive": _TRUTH,
        "kind": _TEXT,
        "labels": _TEXTS,
        "open_world": _TRUTH,
        "read_only": _TRUTH,
    },
}
TOOL_ATTRIBUTES: Final = tuple(_TOOL["attributes"])

_ENTITIES: Final = {
    "Group": {},
    **{type: {"memberOfTypes": ["Group"]} for type in PRINCIPALS.values()},
    "Tool": {"shape": _TOOL},
}

DATA_ACTIONS: Final = ("db_read", "db_insert", "db_update", "db_delete")
"""What rules of data are about. No tool has one of these names."""

_DATA_ENTITIES: Final = {
    "Datasource": {},
    "Group": {},
    "Table": {"memberOfTypes": ["Datasource"]},
    **{type: {"memberOfTypes": ["Group"], "tags": _TEXTS} for type in PRINCIPALS.values()},
}


def tool_attributes(spec: ToolSpec) -> dict[str, Any]:
    """A tool as its rules see it; where nobody said, it is taken for what may do more harm."""
    return {
        "destructive": not spec.read_only if spec.destructive is None else spec.destructive,
        "kind": getattr(spec, "kind", "python"),
        "labels": sorted(getattr(spec, "labels", ())),
        "open_world": getattr(spec, "open_world", None) is not False,
        "read_only": spec.read_only,
    }


def schema_json(tools: Mapping[str, Record]) -> str:
    """The schema for these tools, by name, each with what rules see of its arguments."""
    actions = {name: _action(shape) for name, shape in tools.items()}
    document = {"": {"entityTypes": _ENTITIES, "actions": actions}}
    return msgspec.json.encode(document).decode()


def data_schema_json() -> str:
    """The schema of rules of data: `principal.getTag("tenant")` is a set of texts."""
    applies = {"principalTypes": list(PRINCIPALS.values()), "resourceTypes": ["Table"]}
    actions = {name: {"appliesTo": applies} for name in DATA_ACTIONS}
    document = {"": {"entityTypes": _DATA_ENTITIES, "actions": actions}}
    return msgspec.json.encode(document).decode()


def schema_text(tools: Mapping[str, ToolSpec]) -> str:
    """The schema for these tools, by name, as people write schemas of Cedar."""
    shapes = {name: input_shape(spec.input_schema) for name, spec in tools.items()}
    return "\n".join(
        f"// {title}\n\n{_text_of(document)}"
        for title, document in (
            ("Rules of calls", schema_json(shapes)),
            ("Rules of data: which tables, columns and rows are there", data_schema_json()),
        )
    )


def _text_of(document: str) -> str:
    return str(Schema.from_json_str(document)).replace("__cedar::", "")


def _action(shape: Record) -> dict[str, Any]:
    attributes = {**CONTEXT, "input": _type(shape)}
    return {
        "appliesTo": {
            "principalTypes": list(PRINCIPALS.values()),
            "resourceTypes": ["Tool"],
            "context": {"type": "Record", "attributes": attributes},
        }
    }


def _type(shape: Shape) -> dict[str, Any]:
    match shape:
        case Scalar(type="Decimal"):
            return {"type": "Extension", "name": "decimal"}
        case Scalar(type=name):
            return {"type": name}
        case SetOf(item=item):
            return {"type": "Set", "element": _type(item)}
        case Record(attributes=attributes):
            named = {name: _attribute(attribute) for name, attribute in attributes.items()}
            return {"type": "Record", "attributes": named}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    return {**_type(attribute.shape), "required": attribute.is_always_there}
