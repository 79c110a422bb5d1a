"""What the tools of databases share: how they are described, and how their answers are sealed."""

from datetime import timedelta
from typing import Any, Final

from stepwell.engine.values import Data, Json
from stepwell.nldb.limits import Limits
from stepwell.tools.port import ToolSpec

_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}
DATASOURCE: Final = {
    "type": "string",
    "description": "The name of the datasource; for one that is not there, the error names those that are.",
}
PARAMETERS: Final = {
    "description": "The values of its parameters: a list for $1, $2 or ?, an object for :name.",
    "anyOf": [
        {"type": "array", "items": _SCALAR},
        {"type": "object", "additionalProperties": _SCALAR},
    ],
}


def sealed(datasource: str, value: Json) -> Data:
    """A result that holds rows, or speaks of them."""
    return Data(value, sealed=f"datasource:{datasource}")


def spec(
    name: str,
    description: str,
    asked: dict[str, Any],
    limits: Limits,
    *,
    required: tuple[str, ...],
    answered: dict[str, Any] | None = None,
    read_only: bool = True,
    most_rows: int = 0,
) -> ToolSpec:
    """The description of a tool; what only reads may be repeated."""
    output: dict[str, Any] = {"type": "object"}
    if answered is not None:
        output |= {"properties": answered, "required": [*answered]}
    return ToolSpec(
        name=name,
        description=description,
        input_schema={
            "type": "object",
            "properties": asked,
            "required": [*required],
            "additionalProperties": False,
        },
        output_schema=output,
        read_only=read_only,
        idempotent=read_only,
        timeout=limits.timeout // timedelta(microseconds=1),
        kind="sql",
        most_rows=most_rows,
    )
