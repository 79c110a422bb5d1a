"""The shape of a JSON Schema inside a document."""

from functools import reduce
from operator import getitem
from typing import Any

from msgspec import UNSET

from stepwell.definitions.problems import Path, shown
from stepwell.definitions.shapes import refuse
from stepwell.definitions.sheet import Sheet
from stepwell.engine.values import Json
from stepwell.errors import InvalidRequest
from stepwell.tools.schema import Schema
from stepwell.tools.schema_rules import mistakes


class JsonSchema:
    """A JSON Schema (2020-12) of the author's, complete in itself."""

    def __init__(self, *, of_object: bool = False) -> None:
        """`of_object` demands that it describes an object, by `type: object`."""
        self._of_object = of_object

    def read(self, value: Json, path: Path, sheet: Sheet) -> Json:
        """The schema."""
        if not isinstance(value, dict):
            return refuse(value, path, sheet, "a JSON Schema, which is a map")
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


_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


def _has_hole(value: Json) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(_has_hole(part) for part in parts)
    return value is UNSET


def _explain(value: Json, path: Path, sheet: Sheet, error: InvalidRequest) -> None:
    """Every mistake at its own place; what is no matter of one place stands at the schema."""
    found = mistakes(value)
    for mistake in found:
        given = reduce(getitem, mistake.path, value)
        message, hint = f"this is not JSON Schema: it {mistake.text}", ""
        if mistake.path[-1:] == ("type",) and isinstance(given, str):
            message = f"{shown(given)} is not a type of JSON Schema"
            hint = sheet.report.nearest(given, _TYPES)
            hint = hint or f"the types are {', '.join(_TYPES)}"
        sheet.wrong((*path, *mistake.path), message, hint)
    if not found:
        sheet.wrong(path, f"this JSON Schema cannot be used: {error.detail['schema']}")
